import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { arnOf } from './account.ts';
import { type AwsService, permit } from './aws-service.ts';
import type { BusEvent } from './event-bus.ts';
import { jsonService, operation } from './json-service.ts';

/** One call takes this many entries (EventBridge quotas). */
const MAX_ENTRIES = 10;

const entrySchema = z.strictObject({
  EventBusName: z.literal('default'),
  Source: z.string().min(1),
  DetailType: z.string().min(1),
  Detail: z.string(),
  Time: z.number().optional(),
});

/** EventBridge, onto the bus that the template's rules listen to: PutEvents. */
export function eventsService(putEvent: (event: BusEvent) => void): AwsService {
  const putEvents = operation({ Entries: z.array(entrySchema).min(1).max(MAX_ENTRIES) }, ({ Entries }, identity) => {
    permit(identity, 'events:PutEvents', arnOf('events', 'event-bus/default'));
    for (const { Source: source, DetailType, Detail } of Entries) {
      putEvent({ source, 'detail-type': DetailType, detail: JSON.parse(Detail) as object });
    }
    return { FailedEntryCount: 0, Entries: Entries.map(() => ({ EventId: randomUUID() })) };
  });
  return jsonService({ 'AWSEvents.PutEvents': putEvents });
}
