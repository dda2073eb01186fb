export { advanceRollout } from './advance-stage.ts';
export { IS_RUNNING } from './rollout-conditions.ts';
export {
  abortRollout,
  cancelStopped,
  cancelUnfetched,
  completeRollout,
  followSql,
  type RolloutChange,
  resumeRollout,
  retryFailed,
  STOPPED_BEFORE,
  stopRollout,
} from './rollout-control.ts';
export {
  detailType,
  HAS_UNPUBLISHED_EVENTS,
  markPublished,
  type RolloutEvent,
  readUnpublishedEvents,
} from './rollout-events.ts';
export {
  changeRollout,
  findNumbered,
  findRollout,
  insertRollout,
  listDecisions,
  listRollouts,
  listUpdates,
  type RolloutChanges,
  type RolloutRow,
  type RolloutSummaryRow,
  type RolloutValues,
  readDecisions,
  readFailures,
  readOutcomes,
  readStages,
} from './rollout-queries.ts';
export {
  type ActiveRollout,
  findActiveRollouts,
  GATES_SINCE,
  gatesOf,
  numbersOf,
  readRollout,
  readVersionsInUse,
  readWinners,
  setSendsUntil,
} from './rollout-runtime.ts';
export { beginStage, fixMemberThreshold, noteGate, type StageBeginning } from './stages.ts';
