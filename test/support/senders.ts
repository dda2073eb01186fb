import type { Senders } from '../../core/ingest/index.ts';
import { otaTopics, statusTopics } from '../../core/protocol/index.ts';

/** Whose messages the two ingestion functions take with default settings. */
export const STATUS_SENDERS: Senders = { topics: statusTopics('paku'), acceptAnyClientId: false };
export const OTA_SENDERS: Senders = { topics: otaTopics('paku'), acceptAnyClientId: false };

export const sendersOf = (topic: string): Senders => (topic.includes('/ota/') ? OTA_SENDERS : STATUS_SENDERS);
