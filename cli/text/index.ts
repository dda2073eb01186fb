export { printable } from '../../core/util/index.ts';
export { allowedTable, deviceTable, deviceText, explanationText, groupTable, timelineTable } from './device-text.ts';
export { healthText, rolloutHealthText } from './health-text.ts';
export { holdEffectText, holdTable, holdText, reachText } from './hold-text.ts';
export { issueEffectText, issueTable, issueText } from './issue-text.ts';
export { recoveryPreviewText, recoveryText } from './recovery-text.ts';
export { registeredText, rejectedTable, rejectedText, releaseTable, releaseText } from './release-text.ts';
export {
  approvalText,
  countsText,
  createdText,
  historyTable,
  lastChange,
  planText,
  previewText,
  progressText,
  rolloutTable,
  rolloutText,
  stateText,
  updateTable,
  whyDecided,
} from './rollout-text.ts';
export { deadLetterTable, fleetText, rejectedMessageTable, tickText } from './service-text.ts';
export { stageLines } from './stage-text.ts';
export { bold, dim, green, red, yellow } from './style.ts';
export { pad, shorten, table } from './table.ts';
export { ago, bytes, caller, count, duration, instant, number, withInstants, words } from './units.ts';
