import { GetConnectionCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import type { ConnectionAnswer } from '../../core/protocol/index.ts';
import { listSubscriptions } from '../shared/list-subscriptions.ts';
import { logger } from '../shared/log.ts';

/** Short timeouts, because the rest of the answer does not depend on AWS IoT. */
const client = new IoTDataPlaneClient({
  maxAttempts: 1,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
});

const toDate = (ms: number | undefined) => (ms === undefined ? null : new Date(ms));

/** Asks AWS IoT about the connection of a client, and for its topic filters if it is connected. Never throws. */
export async function askConnection(clientId: string): Promise<ConnectionAnswer> {
  try {
    const answer = await client.send(new GetConnectionCommand({ clientId }));
    if (answer.connected) {
      const filters = (await listSubscriptions(clientId)) ?? null;
      return { state: 'connected', since: toDate(answer.connectedSince), reason: null, filters };
    }
    const { disconnectedSince, disconnectReason: reason = null } = answer;
    if (disconnectedSince === undefined && reason === null) return { state: 'not_known' };
    return { state: 'disconnected', since: toDate(disconnectedSince), reason };
  } catch (error) {
    const { name } = error as Error;
    if (name === 'ResourceNotFoundException') return { state: 'not_known' };
    logger.info('AWS IoT could not be asked about a connection', { clientId, reason: name });
    return { state: 'not_asked', error: name };
  }
}
