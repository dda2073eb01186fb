export { advanceRollout } from './advance-stage.ts';
export { IS_RUNNING } from './rollout-conditions.ts';
export {
  abortRollout,
  cancelStopped,
  cancelUnfetched,
  completeRollout,
  adoptSqlChanges,
  type RolloutChange,
  resumeRollout,
  retryFailed,
  STOPPED_BEFORE_FETCH,
  stopRollout,
} from './rollout-control.ts';
export {
  detailType,
  HAS_UNPUBLISHED_EVENTS,
  markPublished,
  type RolloutEvent,
  loadUnpublishedEvents,
} from './rollout-events.ts';
export {
  changeRollout,
  listNumberedRollouts,
  getRollout,
  insertRollout,
  listDecisions,
  listRollouts,
  listUpdates,
  type RolloutChanges,
  type RolloutRow,
  type RolloutSummaryRow,
  type RolloutValues,
  listRolloutDecisions,
  listFailures,
  listOutcomes,
  listStages,
} from './rollout-queries.ts';
export {
  type RolloutRuntime,
  listActiveRolloutIds,
  GATES_SINCE,
  gatesOf,
  numbersOf,
  loadRolloutRuntime,
  listVersionsInUse,
  loadHigherPriorityRollouts,
  setSendsUntil,
} from './rollout-runtime.ts';
export { beginStage, fixTargetCutoff, recordGate, type StageStart } from './stages.ts';
