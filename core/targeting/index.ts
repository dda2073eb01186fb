export { barsOf, imageOf, imagesOf, statedOfBar } from './bars.ts';
export {
  type Cutoffs,
  cutoffValues,
  HASH,
  IN_SHARE,
  IN_STAGE,
  JOINED_LATER,
  laterTargetCutoff,
  type TargetCutoffs,
} from './cutoffs.ts';
export { hasKnownIssue, type KnownIssue, knownIssuesOf, toKnownIssue } from './known-issues.ts';
export {
  type HigherPriorityRollout,
  IDENTITY_IS_KNOWN,
  IS_TARGETED,
  KEEPER,
  MATCHES_FILTER,
  MODEL_IS_STATED,
  NOT_REVOKED,
  ON_TARGET_OF_HIGHER_PRIORITY,
  STILL_TARGETED,
  TARGET_CONDITIONS,
  TARGET_RULES,
  type TargetRule,
  targetValues,
  toHigherPriorityRollout,
} from './target-conditions.ts';
