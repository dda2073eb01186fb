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
export { loadCoverage } from './coverage.ts';
export { decideSteppingStones, decideSteppingStonesOf } from './decide-stepping-stones.ts';
export { loadEvidenceByValue } from './evidence-by-value.ts';
export { loadHaltNotice } from './halt-notice.ts';
export { loadHigherPriorityRollouts, MAX_HIGHER_PRIORITY_BYTES } from './higher-priority.ts';
export { jitterWait } from './jitter.ts';
export {
  findVersionBefore,
  hasBooted,
  loadHealthEvidence,
  readVersionHealth,
  type VersionHealth,
} from './release-health.ts';
export { countResumeDevices } from './resume-devices.ts';
export { HAS_PREDECESSOR_COMPLETED, IS_RUNNING, MAY_RUN } from './rollout-conditions.ts';
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
export { evidenceOf, gatesOf, hasSilence, loadControlGroup, NO_CONTROL_GROUP, numbersOf } from './rollout-evidence.ts';
export {
  listDecisions,
  listFailures,
  listFailuresOfRelease,
  listOutcomes,
  listRolloutDecisions,
  listStages,
  listUpdates,
  readFunnel,
} from './rollout-progress.ts';
export {
  changeRollout,
  getRollout,
  insertRollout,
  listNumberedRollouts,
  listRollouts,
  type RolloutChanges,
  type RolloutRow,
  type RolloutSummaryRow,
  type RolloutValues,
  replaceDraft,
} from './rollout-queries.ts';
export {
  listActiveRolloutIds,
  listRunnableRolloutIds,
  listVersionsInUse,
  loadRolloutRuntime,
  MAX_VERSIONS_IN_USE,
  type RolloutRuntime,
  setSendsUntil,
} from './rollout-runtime.ts';
export { listSenders, type Sender } from './senders.ts';
export { beginStage, extendStage, recordGate, type StageStart, setStartLimit } from './stages.ts';
