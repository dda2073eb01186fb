export {
  ON_TARGET_OF_HIGHER_PRIORITY,
  MATCHES_GROUP,
  MATCHES_LIST,
  MATCHES_METADATA,
  MATCHES_MODEL,
  MATCHES_VERSION,
  IS_TARGETED,
  STILL_TARGETED,
  MATCHES_FILTER,
  targetValues,
  toHigherPriorityRollout,
  type HigherPriorityRollout,
} from './target-conditions.ts';
