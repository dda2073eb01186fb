export {
  IS_KEPT,
  MATCHES_GROUP,
  MATCHES_LIST,
  MATCHES_METADATA,
  MATCHES_MODEL,
  MATCHES_VERSION,
  MEMBER_CONDITION,
  STILL_MEANT,
  TARGET_CONDITION,
  targetValues,
  toWinner,
  type Winner,
} from './target-conditions.ts';
