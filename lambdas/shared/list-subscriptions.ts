import { IoTDataPlaneClient, paginateListSubscriptions } from '@aws-sdk/client-iot-data-plane';
import { logger } from './log.ts';

/** Short timeouts, because neither a command nor an operator waits for an answer that is only a hint. */
const client = new IoTDataPlaneClient({
  maxAttempts: 1,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
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
