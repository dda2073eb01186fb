/**
 * Anchors of the sections of docs/runbook.md that an alarm can name. An alarm that names another one does not compile,
 * and a test compares this list with the document.
 */
export const RUNBOOK_SECTIONS = [
  'messages-wait',
  'dead-letters',
  'undelivered-messages',
  'rejected-messages',
  'refused-devices',
  'extra-certificates',
  'rejected-uploads',
  'rollout-halted',
  'rollout-stalled',
  'unverified-bytes',
  'orchestrator-late',
  'denied-commands',
  'function-errors',
  'functions-throttled',
  'database-at-its-capacity',
  'front-door-failing',
  'front-door-throttled',
] as const;

export type RunbookSection = (typeof RUNBOOK_SECTIONS)[number];
