export {
  APPROVABLE_ACTIONS,
  type ApprovableAction,
  actionsToApprove,
  approvableStates,
  describeSamePerson,
  listLooserLimits,
} from './approval.ts';
export { encodeCommand, MAX_COMMANDS_AT_ONCE, packetProblem, publishPacketBytes } from './command.ts';
export { CONNECTION_STATES, type ConnectionAnswer, describeConnection } from './connection.ts';
export {
  type AttemptFacts,
  type AttemptVerdict,
  evaluateAttempt,
  REPORTED_STATES,
  type ReportedState,
  type StatusReport,
} from './evaluate-attempt.ts';
export { describeHalt, type FailureGroup, type HaltNotice } from './halt-notice.ts';
export { isLinkOver, type LinkTarget, linkToken, parseLinkToken, TOKEN_LENGTH } from './link.ts';
export { normalizeModel, similarName, unknownModelWarning } from './model-names.ts';
export {
  type Delivery,
  deliverySchema,
  type Models,
  modelsSchema,
  settingsOf,
} from './model-settings.ts';
export {
  IDLE_MARKER_KEY,
  PRESIGNED_SECONDS,
  parseUploadKey,
  RELEASES_PREFIX,
  releaseKey,
  signatureKey,
  signedUploadKey,
  UPLOAD_PATTERN,
  UPLOAD_TOKEN,
  UPLOADS_PREFIX,
  uploadKey,
} from './object-keys.ts';
export {
  type Contact,
  PRESENCE_STATES,
  type Presence,
  type PresenceState,
  patienceSeconds,
  presenceOf,
  type RecordingPause,
  recordedUntil,
} from './presence.ts';
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
  DISCONNECTED_TOPIC,
  describeRefusals,
  disconnectedTopics,
  REFUSAL_REASONS,
  type RefusalReason,
  type Refusals,
} from './refusals.ts';
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
export {
  evaluateFit,
  evaluateSecureVersion,
  expectedChip,
  type HighestSecureVersion,
  parseReleaseNotes,
  type ReleaseNotes,
  type ReleaseRefusal,
  versionWarnings,
} from './release-policy.ts';
export {
  isSignatureValid,
  type KeptSignature,
  NO_SIGNATURE_REQUIRED,
  type SendableRelease,
  type TrustRule,
  trustedKeys,
  trustRule,
  whyNotSendable,
} from './release-trust.ts';
export { describeChange, type ReportedIdentity } from './reported-identity.ts';
export {
  CAUSES,
  type Cause,
  describeResultCode,
  isUnverifiedBoot,
  RESULT_CODES,
  resultText,
  VERIFICATION_FAILED,
} from './result-codes.ts';
export { DIRECT_MAX_BYTES, planRetry, type Retry } from './retry-policy.ts';
export {
  cutoffOfShare,
  PLAN_BYTES,
  parsePlan,
  type Reach,
  type RolloutPlan,
  type Stage,
  stageSizes,
  stagesSchema,
} from './rollout-plan.ts';
export {
  decideRollout,
  describeDecision,
  type Gates,
  isGateMet,
  type RolloutDecision,
  type RolloutNumbers,
} from './rollout-policy.ts';
export {
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
export {
  type CandidateRelease,
  evaluateSignature,
  type SignatureFile,
  type SignatureFinding,
} from './signature-policy.ts';
export { type Signing, signingFields, signingOf, signingSchema } from './signing-settings.ts';
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
  isRecovery,
  parseTarget,
  type Recovered,
  TARGET_TYPES,
  type Target,
  type TargetType,
  targetFilter,
} from './target-filter.ts';
export {
  COMMAND_FAMILIES,
  type CommandFamily,
  commandTopic,
  type DeviceTopics,
  type OtaTopicKind,
  otaTopics,
  parseOtaTopic,
  statusTopics,
  subscribedFamily,
  subtreeOf,
} from './topics.ts';
export { drawUpdateStates, mayReach, UPDATE_MOVES, UPDATE_STATES, type UpdateState } from './update-states.ts';
export { isFolderMarker, isMeantAsUpload, refuseModelAsVersion, refusePath } from './upload-path.ts';
export {
  compareVersions,
  DEVICE_VERSION_LENGTH,
  evaluateVersion,
  isPrerelease,
  isSameVersion,
  runsRelease,
  UNKNOWN_VERSION,
  type VersionVerdict,
} from './versions.ts';
