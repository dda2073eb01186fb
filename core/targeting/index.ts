export {
  type HigherPriorityRollout,
  IS_TARGETED,
  MATCHES_FILTER,
  MATCHES_GROUP,
  MATCHES_LIST,
  MATCHES_METADATA,
  MATCHES_MODEL,
  MATCHES_VERSION,
  ON_TARGET_OF_HIGHER_PRIORITY,
  STILL_TARGETED,
  targetValues,
  toHigherPriorityRollout,
} from './target-conditions.ts';
