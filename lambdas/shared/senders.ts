import type { Senders } from '../../core/ingest/index.ts';
import type { DeviceTopics } from '../../core/protocol/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from './environment.ts';

/** Whose messages a function takes, with the settings of the deployment. */
export const readSenders = (topicsOf: (prefix: string) => DeviceTopics): Senders => ({
  topics: topicsOf(requireEnv(ENV.topicPrefix)),
  acceptAnyClientId: requireEnv(ENV.acceptAnyClientId) === 'true',
});
