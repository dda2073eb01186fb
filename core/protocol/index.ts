export {
  DEFAULT_PACKET_LIMIT_BYTES,
  encodeCommand,
  MAX_COMMANDS_AT_ONCE,
  packetProblem,
  publishPacketBytes,
} from './command.ts';
export { CONNECTION_STATES, type ConnectionAnswer, describeConnection } from './connection.ts';
export {
  describeRevision,
  FACT_NAME,
  FACT_TEXT_LENGTH,
  type FactValue,
  isKnownFact,
  isVolatileFact,
  KNOWN_FACT_NAMES,
  KNOWN_FACTS,
  type KnownFactName,
  knownFact,
  MAX_FREE_FACTS,
  MAX_STORED_FACTS,
  nameOfAlias,
  VOLATILE_FACTS,
} from './device-facts.ts';
export { isLinkOver, type LinkTarget, linkToken, parseLinkToken, TOKEN_LENGTH } from './link.ts';
export { normalizeModel, similarName, unknownModelWarning } from './model-names.ts';
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
  DISCONNECTED_TOPIC,
  describeRefusals,
  disconnectedTopics,
  REFUSAL_REASONS,
  type RefusalReason,
  type Refusals,
} from './refusals.ts';
export { describeChange, type ReportedIdentity } from './reported-identity.ts';
export {
  ALREADY_RUNNING,
  CAUSES,
  type Cause,
  causeOfResult,
  describeResultCode,
  isTransientResult,
  isUnverifiedBoot,
  RESULT_CODES,
  resultText,
  VERIFICATION_FAILED,
} from './result-codes.ts';
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
export {
  compareVersions,
  DEVICE_VERSION_LENGTH,
  evaluateVersion,
  isBenchBuild,
  isPrerelease,
  isSameVersion,
  type ReleaseCounter,
  runsRelease,
  UNKNOWN_VERSION,
  type VersionPolicy,
  type VersionVerdict,
} from './versions.ts';
