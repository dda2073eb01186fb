import type { RuleMessage } from '../../core/ingest/index.ts';
import { excerpt, readBoolean, readNumber, readText, truncate } from '../../core/ingest/index.ts';
import type { ReportedState } from '../../core/policy/index.ts';
import type { OtaTopicKind } from '../../core/protocol/index.ts';
import type { Report } from '../../core/updates/index.ts';
import type { Result } from '../../core/util/index.ts';

/**
 * The states that show how far an update is. Others (Idle, Complete …) change nothing, except that `Failed` ends the
 * attempt if no result follows.
 */
const STATES = new Map<string, ReportedState>([
  ['checking', 'downloading'],
  ['downloading', 'downloading'],
  ['verifying', 'downloaded'],
  ['installing', 'installing'],
]);
/** Maximum stored payload per event; devices send much less. */
const MAX_PAYLOAD_BYTES = 4 * 1024;
const MAX_TEXT_LENGTH = 500;
const MAX_STATUS_LENGTH = 64;
const VERSION_LENGTH = 64;

/**
 * Parses an OTA message of either firmware generation: the older one sends `version`, the newer one `target_version`.
 * Each field counts that can be read.
 */
export function parseOtaMessage(message: RuleMessage, kind: OtaTopicKind): Result<Report> {
  if (!message.isReadable && kind !== 'progress') return { ok: false, reason: describeUnreadable(message) };
  const version = parseVersion(message.payload);
  if (!version.ok) return version;
  if (kind === 'progress') return { ok: true, value: parseProgress(message) };
  return kind === 'status' ? parseAnswer(message, version.value) : parseResult(message, version.value);
}

export const describeUnreadable = ({ fault }: RuleMessage): string => `payload cannot be read: ${fault}`;

/** A message without a readable state still shows that the device has the command and is alive. */
function parseProgress(message: RuleMessage): Report {
  const { payload } = message;
  const state = STATES.get(readText(payload.state)?.toLowerCase() ?? '') ?? null;
  return toReport(message, 'progress', null, state, { percent: wholePercent(payload.percent) });
}

/** Any other status than `accepted` declines the command. */
function parseAnswer(message: RuleMessage, version: string | null): Result<Report> {
  const { payload, fault } = message;
  const status = readText(payload.status);
  if (status === null || status.length > MAX_STATUS_LENGTH) {
    return reject(
      'status',
      `status is ${shown(payload.status)}; expected text of 1 to ${MAX_STATUS_LENGTH} characters`,
      fault,
    );
  }
  if (status.toLowerCase() === 'accepted') {
    return { ok: true, value: toReport(message, 'accepted', version, null, {}) };
  }
  const wait = readNumber(payload.retry_after_seconds);
  return {
    ok: true,
    value: toReport(message, 'declined', version, null, {
      reason: truncate(readText(payload.reason) ?? readText(payload.message) ?? status, MAX_TEXT_LENGTH),
      retryAfterSeconds: wait === null || wait < 0 ? null : wait,
    }),
  };
}

function parseResult(message: RuleMessage, version: string | null): Result<Report> {
  const { payload, fault } = message;
  const resultCode = wholeNumber(payload.result_code);
  const success = readBoolean(payload.success) ?? (resultCode === null ? null : resultCode === 0);
  if (success === null) {
    return reject(
      'result',
      `success is ${shown(payload.success)} and result_code is ${shown(payload.result_code)}; expected a boolean or a number`,
      fault,
    );
  }
  const text = readText(payload.message);
  const facts = { success, resultCode, message: text === null ? null : truncate(text, MAX_TEXT_LENGTH) };
  return { ok: true, value: toReport(message, 'result', version, null, facts) };
}

const shown = (value: unknown) => (value === undefined ? 'missing' : excerpt(value));

const reject = (kind: string, reason: string, fault: string | null) =>
  ({ ok: false, reason: `not a valid ${kind} message: ${fault === null ? '' : `${fault}; `}${reason}` }) as const;

/**
 * The version that the message is about. One that is too long is refused, since the message cannot be about a release of
 * this service.
 */
function parseVersion(payload: RuleMessage['payload']): Result<string | null> {
  for (const field of ['target_version', 'version']) {
    const version = readText(payload[field]);
    if (version === null) continue;
    if (version.length <= VERSION_LENGTH) return { ok: true, value: version };
    return { ok: false, reason: `${field} is ${excerpt(version)}; expected at most ${VERSION_LENGTH} characters` };
  }
  return { ok: true, value: null };
}

function toReport(
  { deviceId, receivedAt, payloadHash, payload }: RuleMessage,
  type: 'accepted' | 'declined' | 'progress' | 'result',
  version: string | null,
  state: ReportedState | null,
  facts: object,
): Report {
  const payloadToStore = Buffer.byteLength(JSON.stringify(payload)) <= MAX_PAYLOAD_BYTES ? payload : {};
  return { deviceId, type, receivedAt, payloadHash, payload: { ...payloadToStore, ...facts }, version, state };
}

function wholeNumber(value: unknown): number | null {
  const number = readNumber(value);
  return number === null ? null : Math.max(-2_147_483_648, Math.min(2_147_483_647, Math.trunc(number)));
}

function wholePercent(value: unknown): number | null {
  const whole = wholeNumber(value);
  return whole === null ? null : Math.max(0, Math.min(100, whole));
}
