export { recordLateSuccesses, countOutcomes } from './count-outcomes.ts';
export {
  closePendingUpdates,
  findPendingForDevices,
  type UpdateClosing,
  type PendingUpdate,
  type PlannedSend,
  pickPendingUpdates,
  loadPendingUpdates,
  reserveSends,
  type SendOutcome,
  storeSendOutcomes,
} from './dispatch-updates.ts';
export { type Download, getDownload } from './downloads.ts';
export { evaluateUpdates } from './evaluate-updates.ts';
export { expireUpdates } from './expire-updates.ts';
export { type Report, recordReports } from './reports.ts';
export { requeueUnacknowledged } from './requeue-unacknowledged.ts';
