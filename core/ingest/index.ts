export { isNoWord, readBoolean, readNumber, readText } from './field-values.ts';
export { describeDropped, limitPerMinute, limitReports, MAX_PER_MINUTE } from './rate-limit.ts';
export { readPayload } from './read-payload.ts';
export { recordRejectedMessages } from './rejected-messages.ts';
export {
  decodeRuleMessage,
  type RejectedMessage,
  type RuleMessage,
  rejectMessage,
  type Senders,
} from './rule-message.ts';
export { excerpt, isObject, type JsonObject, parseJson, readableBeginning, truncate } from './sanitize.ts';
