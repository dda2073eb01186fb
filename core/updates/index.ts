export {
  closePendingUpdates,
  findPendingForDevices,
  loadPendingUpdates,
  type PendingUpdate,
  type PlannedSend,
  reserveSends,
  type SendOutcome,
  storeSendOutcomes,
  type UpdateClosing,
} from './dispatch-updates.ts';
export { type Download, getDownload } from './downloads.ts';
export { evaluateUpdates, markFetched } from './evaluate-updates.ts';
export { expireUpdates } from './expire-updates.ts';
export {
  INGESTION_QUEUES,
  type IngestionQueue,
  loadProcessedUntil,
  oldestOf,
  type QueueReading,
  recordProcessed,
  recordQueues,
} from './ingestion-progress.ts';
export { recordLateRollbacks, recordLateSuccesses } from './late-outcomes.ts';
export { type LeftDevices, listLateRollbacks, listUnverified } from './left-devices.ts';
export { type FullValue, findFullValue, findFullValues } from './limit-per-value.ts';
export { pickPendingUpdates } from './pick-updates.ts';
export { recountSlots, releaseSlots } from './release-slots.ts';
export { type Fetch, type Report, recordFetches, recordReports } from './reports.ts';
export { requeueIgnored, requeueUnacknowledged } from './requeue-unacknowledged.ts';
