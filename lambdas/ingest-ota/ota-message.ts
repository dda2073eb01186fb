import * as z from 'zod';
import type { RuleMessage } from '../../core/ingest/index.ts';
import { truncate } from '../../core/ingest/index.ts';
import type { OtaTopicKind, ReportedState } from '../../core/policy/index.ts';
import type { Report } from '../../core/updates/index.ts';

const version = z.string().trim().min(1).max(64).nullish();

/** Any other status than `accepted` declines the command. */
const answer = z.looseObject({
  status: z.string().min(1).max(64),
  reason: z.string().nullish(),
  message: z.string().nullish(),
  retry_after_seconds: z.number().nonnegative().nullish(),
  version,
  target_version: version,
});

/**
 * The states that show how far an update is. Others (Idle, Complete …) change nothing, except that `Failed` ends the
 * attempt if no result follows.
 */
const STATES: Readonly<Record<string, ReportedState>> = {
  checking: 'downloading',
  downloading: 'downloading',
  verifying: 'downloaded',
  installing: 'installing',
};
const progress = z.looseObject({
  state: z.string().max(32),
  percent: z.number().nullish(),
  version,
  target_version: version,
});

const result = z.looseObject({
  success: z.boolean(),
  result_code: z.number().nullish(),
  message: z.string().nullish(),
  version,
  target_version: version,
});

/** Maximum stored payload per event; devices send much less. */
const MAX_PAYLOAD_BYTES = 4 * 1024;
const MAX_TEXT_LENGTH = 500;

export type OtaResult =
  | { readonly ok: true; readonly report: Report }
  | { readonly ok: false; readonly reason: string };

/**
 * Parses an OTA message of either firmware generation: the older one sends `version`, the newer one `target_version`.
 */
export function parseOtaMessage(message: RuleMessage, kind: OtaTopicKind): OtaResult {
  if (kind === 'status') return parseAnswer(message);
  if (kind === 'progress') {
    return read(message, 'progress', progress, ({ state, percent }) => ({
      state: STATES[state.toLowerCase()] ?? null,
      facts: { percent: wholePercent(percent) },
    }));
  }
  return read(message, 'result', result, (data) => ({
    state: null,
    facts: {
      success: data.success,
      code: wholeNumber(data.result_code),
      message: data.message == null ? null : truncate(data.message, MAX_TEXT_LENGTH),
    },
  }));
}

function parseAnswer(message: RuleMessage): OtaResult {
  const parsed = answer.safeParse(message.payload);
  const isDeclined = parsed.success && parsed.data.status.toLowerCase() !== 'accepted';
  return read(message, isDeclined ? 'declined' : 'accepted', answer, (said) => ({
    state: null,
    facts: isDeclined
      ? {
          reason: truncate(said.reason ?? said.message ?? said.status, MAX_TEXT_LENGTH),
          retryAfterSeconds: said.retry_after_seconds ?? null,
        }
      : {},
  }));
}

function read<T extends { version?: unknown; target_version?: unknown }>(
  { deviceId, receivedAt, payloadHash, payload }: RuleMessage,
  type: 'accepted' | 'declined' | 'progress' | 'result',
  schema: z.ZodType<T>,
  interpret: (data: T) => { state: ReportedState | null; facts: object },
): OtaResult {
  const parsed = schema.safeParse(payload);
  if (!parsed.success) return { ok: false, reason: `not a valid ${type} message: ${z.prettifyError(parsed.error)}` };
  const data = parsed.data;
  const { state, facts } = interpret(data);
  const payloadToStore = Buffer.byteLength(JSON.stringify(payload)) <= MAX_PAYLOAD_BYTES ? payload : {};
  const named = type === 'progress' ? null : ((data.target_version ?? data.version ?? null) as string | null);
  return {
    ok: true,
    report: {
      deviceId,
      type,
      receivedAt,
      payloadHash,
      payload: { ...payloadToStore, ...facts },
      version: named,
      state,
    },
  };
}

function wholeNumber(value: number | null | undefined): number | null {
  if (value === null || value === undefined || !Number.isFinite(value)) return null;
  return Math.max(-2_147_483_648, Math.min(2_147_483_647, Math.trunc(value)));
}

function wholePercent(value: number | null | undefined): number | null {
  const whole = wholeNumber(value);
  return whole === null ? null : Math.max(0, Math.min(100, whole));
}
