export { describeDropped, limitPerMinute, limitReports, MAX_PER_MINUTE } from './rate-limit.ts';
export { recordRejectedMessages } from './rejected-messages.ts';
export {
  type Decoded,
  decodeRuleMessage,
  type RejectedMessage,
  type RuleMessage,
  rejectMessage,
} from './rule-message.ts';
export { excerpt, isObject, parseJson, truncate } from './sanitize.ts';
