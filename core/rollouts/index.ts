export { advanceRollout } from './advance-by-operator.ts';
export {
  ANYONE,
  type ApprovalRequest,
  describeTooManyTargets,
  listApprovalRequests,
  type Permission,
  rejectRequest,
  requestApproval,
  startDraft,
  takeRequest,
} from './approvals.ts';
export { countTargets, hasTargetsOutsideStage } from './count-targets.ts';
export { decideSteppingStones, decideSteppingStonesOf } from './decide-stepping-stones.ts';
export { loadHaltNotice } from './halt-notice.ts';
export { jitterWait } from './jitter.ts';
export {
  findVersionBefore,
  hasBooted,
  loadHealthEvidence,
  readVersionHealth,
  type VersionHealth,
} from './release-health.ts';
export { countResumeDevices } from './resume-devices.ts';
export { IS_RUNNING, MAY_RUN } from './rollout-conditions.ts';
export {
  abortRollout,
  adoptSqlChanges,
  cancelStopped,
  cancelUnfetched,
  completeRollout,
  countRetryDevices,
  haltUnapproved,
  NOT_APPROVED,
  type RolloutChange,
  repairStages,
  restartChangedVersions,
  resumeRollout,
  retryFailed,
  STOPPED_BEFORE_FETCH,
  stopRollout,
} from './rollout-control.ts';
export {
  HAS_UNPUBLISHED_EVENTS,
  loadUnpublishedEvents,
  markPublished,
  type RolloutEvent,
} from './rollout-events.ts';
export {
  changeRollout,
  getRollout,
  insertRollout,
  listDecisions,
  listFailures,
  listFailuresOfRelease,
  listNumberedRollouts,
  listOutcomes,
  listRolloutDecisions,
  listRollouts,
  listStages,
  listUpdates,
  type RolloutChanges,
  type RolloutRow,
  type RolloutSummaryRow,
  type RolloutValues,
} from './rollout-queries.ts';
export {
  evidenceOf,
  gatesOf,
  hasSilence,
  listActiveRolloutIds,
  listRunnableRolloutIds,
  listVersionsInUse,
  loadControlGroup,
  loadHigherPriorityRollouts,
  loadRolloutRuntime,
  MAX_HIGHER_PRIORITY_BYTES,
  MAX_VERSIONS_IN_USE,
  NO_CONTROL_GROUP,
  numbersOf,
  type RolloutRuntime,
  setSendsUntil,
} from './rollout-runtime.ts';
export { beginStage, extendStage, recordGate, type StageStart, setStartLimit } from './stages.ts';
