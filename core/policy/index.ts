export {
  APPROVABLE_ACTIONS,
  type ApprovableAction,
  actionsToApprove,
  approvableStates,
  type ChangedLimits,
  describeSamePerson,
  listLooserLimits,
} from './approval.ts';
export {
  type AttemptFacts,
  type AttemptVerdict,
  REPORTED_STATES,
  type ReportedState,
  type StatusReport,
} from './attempt-facts.ts';
export type { AttributeCondition } from './attribute-conditions.ts';
export {
  BAR_ENDS,
  BARS,
  type Bar,
  describeBar,
  describeBarOfMany,
  type ImageLimits,
  imageLimits,
  isBar,
} from './bars.ts';
export { describeEnd } from './end-date.ts';
export { evaluateAttempt } from './evaluate-attempt.ts';
export type { FactCondition } from './fact-conditions.ts';
export {
  describeConcentration,
  type EvidenceByValue,
  FEWEST_OF_VALUE,
  findFailingValue,
} from './failures-by-value.ts';
export {
  COVERED_VALUE_LENGTH,
  type Coverage,
  coveredNames,
  coveringStage,
  describeUncovered,
} from './first-stage.ts';
export { describeHalt, type FailureGroup, type HaltNotice } from './halt-notice.ts';
export {
  describeHeld,
  describeHeldDevice,
  describeHold,
  describeHoldEnd,
  HOLD_FILTERS,
  HOLD_SCOPES,
  HOLD_TIME_OVER,
  type HoldFacts,
  type HoldFilter,
  type HoldScope,
} from './hold.ts';
export {
  describeIssue,
  describeIssueEnd,
  describeIssues,
  hasIssue,
  ISSUE_STATES,
  type IssueFacts,
  type IssueRange,
  type IssueState,
  isFixedIn,
} from './known-issues.ts';
export { type LimitPer, limitPer } from './limit-per.ts';
export {
  type BadRelease,
  type EarlierRelease,
  evaluateRecovery,
  RECOVERABLE_STATES,
  type RecoveryRules,
  type RecoveryVerdict,
  type UpdatedDevices,
} from './recovery.ts';
export {
  type ControlGroup,
  describeEvidence,
  NO_EVIDENCE,
  type ReleaseEvidence,
  setApart,
} from './release-evidence.ts';
export {
  checkHealth,
  compareRestarts,
  HEALTH_STATES,
  type HealthEvidence,
  type HealthHalt,
  healthState,
  needsControl,
  type RestartComparison,
} from './release-health.ts';
export { DIRECT_MAX_BYTES, planRetry, type Retry } from './retry-policy.ts';
export { detailType, HALTED, ROLLOUT_EVENTS, type RolloutEventName } from './rollout-events.ts';
export {
  cutoffOfShare,
  PLAN_BYTES,
  parsePlan,
  type Reach,
  type RolloutPlan,
  type Stage,
  stageSizes,
  stagesSchema,
  UNTIL_ADVANCED,
} from './rollout-plan.ts';
export {
  decideRollout,
  describeDecision,
  type Gates,
  type Halt,
  type HaltReason,
  isGateMet,
  type RolloutDecision,
  type RolloutNumbers,
} from './rollout-policy.ts';
export {
  describePredecessor,
  drawRolloutStates,
  ORCHESTRATOR,
  ROLLOUT_ACTIONS,
  ROLLOUT_STATES,
  type RolloutAction,
  type RolloutState,
  statesFor,
  stopWord,
} from './rollout-states.ts';
export { DAYS, nextOpening, openUntil, sendWindow } from './send-window.ts';
export { isBlocked, isStalled, movedBefore, type RolloutWait } from './stalled.ts';
export {
  type AssignableRelease,
  chooseReleases,
  isPossibleSteppingStone,
  parseSteppingStones,
  proposeSteppingStones,
  type RegisteredRelease,
  steppingStonesSchema,
} from './stepping-stones.ts';
export {
  boundedFilter,
  boundedJson,
  type Exceptions,
  isRecovery,
  parseTarget,
  type Recovered,
  TARGET_TYPES,
  type Target,
  type TargetType,
  targetFilter,
} from './target-filter.ts';
export {
  COUNTED_STATES,
  type CountedState,
  drawUpdateStates,
  FAILED_LIST,
  FAILED_STATES,
  mayReach,
  UNDER_WAY_STATES,
  UPDATE_MOVES,
  UPDATE_STATES,
  type UpdateState,
} from './update-states.ts';
export { IS_WANTED_FACT, isWanted } from './wanted-values.ts';
