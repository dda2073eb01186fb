import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { AwsError, type AwsService, permit } from './aws-service.ts';
import type { EventBus } from './event-bus.ts';

/** One call takes ten entries (EventBridge quotas); a parameter that is not here is refused, not ignored. */
const putEvents = z.strictObject({
  Entries: z
    .array(
      z.strictObject({
        EventBusName: z.literal('default'),
        Source: z.string().min(1),
        DetailType: z.string().min(1),
        Detail: z.string(),
        Time: z.number().optional(),
      }),
    )
    .min(1)
    .max(10),
});

/** EventBridge's PutEvents in its JSON protocol, onto the bus that the template's rules listen to. */
export function eventsService(bus: EventBus, busArn: string): AwsService {
  return {
    async handle({ headers, body, identity }) {
      if (headers['x-amz-target'] !== 'AWSEvents.PutEvents') {
        throw new AwsError('UnknownOperationException', 400, `The local EventBridge does not imitate this operation.`);
      }
      permit(identity, 'events:PutEvents', busArn);
      const input = putEvents.safeParse(JSON.parse(await text(body)));
      if (!input.success) throw new AwsError('ValidationException', 400, z.prettifyError(input.error));
      for (const { Source: source, DetailType, Detail } of input.data.Entries) {
        bus.put({ source, 'detail-type': DetailType, detail: JSON.parse(Detail) as object });
      }
      const Entries = input.data.Entries.map(() => ({ EventId: randomUUID() }));
      const answer = JSON.stringify({ FailedEntryCount: 0, Entries });
      return { status: 200, headers: { 'content-type': 'application/x-amz-json-1.1' }, body: answer };
    },
  };
}
