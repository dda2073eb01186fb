import { IoTDataPlaneClient, paginateListSubscriptions } from '@aws-sdk/client-iot-data-plane';
import { MAX_COMMANDS_AT_ONCE } from '../../core/protocol/index.ts';
import { logger } from './log.ts';

/** A batch of devices is asked at once. With fewer connections, the timeouts of the last would pass before they are asked. */
const agent = { maxSockets: MAX_COMMANDS_AT_ONCE, keepAlive: true };

/** Short timeouts, because neither a command nor an operator waits for an answer that is only a hint. */
const client = new IoTDataPlaneClient({
  maxAttempts: 1,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, httpAgent: agent, httpsAgent: agent },
});

/** The topic filters of a client; undefined if it is not connected or AWS IoT does not say. Never throws. */
export async function listSubscriptions(clientId: string): Promise<readonly string[] | undefined> {
  try {
    const filters: string[] = [];
    for await (const { subscriptions = [] } of paginateListSubscriptions({ client }, { clientId })) {
      filters.push(...subscriptions.flatMap(({ topicFilter }) => topicFilter ?? []));
    }
    return filters;
  } catch (error) {
    logger.info('the subscriptions of a device are not known', { clientId, reason: (error as Error).name });
    return undefined;
  }
}
