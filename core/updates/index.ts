export { recordLateSuccesses, tallyEndedUpdates } from './count-outcomes.ts';
export {
  closeOwedUpdates,
  findOwedTo,
  type OwedClosing,
  type OwedUpdate,
  type PlannedSend,
  pickOwedUpdates,
  readOwedUpdates,
  reserveSends,
  type SendOutcome,
  storeSendOutcomes,
} from './dispatch-updates.ts';
export { type Download, readDownload } from './downloads.ts';
export { judgeUpdates } from './evaluate-updates.ts';
export { expireUpdates } from './expire-updates.ts';
export { type Report, recordReports } from './reports.ts';
export { oweUnconfirmedAgain } from './requeue-unacknowledged.ts';
