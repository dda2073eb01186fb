import fc from 'fast-check';
import { decodeRuleMessage, type RejectedMessage, type RuleMessage, readPayload } from '../../core/ingest/index.ts';
import { type DeviceTopics, otaTopics, statusTopics } from '../../core/protocol/index.ts';
import type { Result } from '../../core/util/index.ts';
import { parseOtaMessage } from '../../lambdas/ingest-ota/ota-message.ts';
import { parseStatus } from '../../lambdas/ingest-status/status-message.ts';
import { hostileNumber, hostileObject, hostileText, hostileValue } from './hostile.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
/** Maximum size of the stored data of a message; a row of the Data API has at most 64 KB. */
const MAX_KEPT_BYTES = 16 * 1024;
const MAX_REASON = 2_000;

const STATUS_FIELDS = `firmware_version device_model device_id online mac mac_address wifi uptime_seconds uptime_s
  signal_strength_dbm timestamp heap`.split(/\s+/);
const OTA_FIELDS = 'status state percent success result_code message version target_version device_id'.split(' ');

/** The maximum depth of a payload of 128 KB, the limit of AWS IoT. */
const MAX_LEVELS = 60_000;
const MAX_KEPT_LEVELS = 20;
const deep = (levels: number) =>
  Buffer.from(`{"state":"x","success":true,"a":${'['.repeat(levels)}${']'.repeat(levels)}}`);

const goodPayload = fc.record(
  {
    firmware_version: fc.constantFrom('1.0.0', '1.2.3'),
    status: fc.constant('accepted'),
    state: fc.constantFrom('Downloading', 'Idle'),
    success: fc.boolean(),
    online: fc.boolean(),
  },
  { requiredKeys: [] },
);
const payload = fc
  .tuple(goodPayload, fc.oneof(hostileObject(STATUS_FIELDS, hostileValue), hostileObject(OTA_FIELDS, hostileValue)))
  .map(([good, hostile]) => Object.assign(Object.create(null), good, hostile) as object);
/** What sensors, full buffers and hand-written JSON do to a payload. */
const SPLINTERS = [...'{}[]",:=\'\\\0\n \uFEFF', 'nan', '-inf', '1.', ',,', '":"', '\\u00', 'x'.repeat(50)];
const damaged = fc
  .tuple(
    payload,
    fc.array(fc.tuple(fc.nat(400), fc.nat(6), fc.constantFrom(...SPLINTERS)), { maxLength: 5 }),
    fc.option(fc.nat(400)),
  )
  .map(([value, splinters, end]) => {
    let text = JSON.stringify(value);
    for (const [at, removed, splinter] of splinters) text = text.slice(0, at) + splinter + text.slice(at + removed);
    return Buffer.from(end === null ? text : text.slice(0, end));
  });
const bytes = fc.oneof(
  { weight: 12, arbitrary: damaged },
  { weight: 24, arbitrary: payload.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)) },
  { weight: 4, arbitrary: hostileText.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: MAX_LEVELS }).map(deep) },
);
const topic = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('paku/edge/van-1/status', 'paku/devices/van-1/ota/result') },
  { weight: 1, arbitrary: hostileText.map((id) => `paku/edge/${id}/status`) },
);

/** The body of a queue message: mostly in the format of the topic rules, with any payload. */
export const queueBody = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(topic, bytes, fc.oneof(fc.constant(1_772_366_400_000), fc.integer()), hostileText)
      .map(([name, said, received_at, client_id]) =>
        JSON.stringify({ payload: said.toString('base64'), topic: name, received_at, client_id }),
      ),
  },
  { weight: 1, arbitrary: hostileObject(['payload', 'topic', 'received_at', 'client_id'], hostileValue).map(toJson) },
  {
    weight: 1,
    arbitrary: hostileObject(['ruleName', 'topic', 'clientId', 'base64OriginalPayload', 'failures'], hostileValue).map(
      toJson,
    ),
  },
  { weight: 1, arbitrary: hostileText },
);

function toJson(value: object): string {
  return JSON.stringify(value);
}

const sendersOf = (topicsOf: (prefix: string) => DeviceTopics) => ({
  topics: topicsOf('paku'),
  acceptAnyClientId: true,
});

/** @throws Error unless the body becomes a message or a rejection that can be stored unchanged */
export function checkStatus(body: string): void {
  checkDecoded(decodeRuleMessage(body, sendersOf(statusTopics), NOW), (message) => {
    const { report, rejection } = parseStatus(message);
    if (rejection !== null) checkReason(rejection);
    if (message.fault !== null) checkReason(message.fault);
    check(message.isReadable || rejection !== null, 'a message that cannot be read is recorded as rejected');
    check(report.deviceId === message.topic.split('/')[2], 'the report is of the device that the topic names');
    check((report.version?.length ?? 1) <= 64 && (report.model?.length ?? 1) <= 64, 'words fit their columns');
    for (const value of [report.uptimeSeconds, report.signalStrengthDbm])
      check(value === null || Number.isSafeInteger(value), `${value} is a whole number`);
    checkStorable(report);
  });
}

/** @throws Error unless the body becomes a report of each kind, or a rejection, that can be stored unchanged */
export function checkOta(body: string): void {
  checkDecoded(decodeRuleMessage(body, sendersOf(otaTopics), NOW), (message) => {
    for (const kind of ['status', 'progress', 'result'] as const) {
      const result = parseOtaMessage(message, kind);
      if (!result.ok) checkReason(result.reason);
      else {
        check((result.value.version?.length ?? 1) <= 64, 'a version fits its column');
        checkStorable(result.value);
      }
    }
  });
}

/** An object of simple values as JSON that is cut off, with the object. */
export const cutObject = fc
  .tuple(
    fc.dictionary(
      fc.oneof(fc.constantFrom(...STATUS_FIELDS), hostileText),
      fc.oneof(hostileText, hostileNumber, fc.boolean()),
      { maxKeys: 6 },
    ),
    fc.double({ min: 0, max: 1, noNaN: true }),
  )
  .map(([value, share]) => {
    const whole = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
    const text = JSON.stringify(whole);
    return { whole, text: text.slice(0, Math.floor(text.length * share)) };
  });

/** @throws Error unless each field that is read of the cut object is one of the whole object */
export function checkCut({ whole, text }: { readonly whole: Record<string, unknown>; readonly text: string }): void {
  // What cannot be stored is replaced, in both alike.
  const expected = new Map(Object.entries(readPayload(Buffer.from(JSON.stringify(whole))).payload));
  const { payload: read } = readPayload(Buffer.from(text));
  for (const [name, value] of Object.entries(read)) {
    check(expected.has(name), `${JSON.stringify(name)} is a field of the whole object`);
    check(isSameText(value, expected.get(name)), `${JSON.stringify(name)} is ${JSON.stringify(value)}`);
  }
}

/** A version that is a number is read as text, with its digits as they were sent. */
const isSameText = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b) || String(a) === String(b);

function checkDecoded(decoded: Result<RuleMessage, RejectedMessage>, read: (message: RuleMessage) => void): void {
  if (decoded.ok) {
    read(decoded.value);
    return;
  }
  const { topic: name, clientId, receivedAt, reason } = decoded.reason;
  checkReason(reason);
  check(!Number.isNaN(receivedAt.getTime()), 'a rejection has a time');
  checkStorable({ name, clientId });
}

function checkReason(reason: string): void {
  check(reason.length > 0 && reason.length <= MAX_REASON, `a reason of ${reason.length} characters is told`);
  checkStorable({ reason });
}

/**
 * Checks that there is no NUL and no half of a surrogate pair, which PostgreSQL refuses, and that the value fits a row.
 */
function checkStorable(value: object): void {
  const text = JSON.stringify(value);
  check(!/\\u0000|\\ud[89a-f]/i.test(text.replaceAll('\\\\', '')), `toStorable: ${text}`);
  check(Buffer.byteLength(text) <= MAX_KEPT_BYTES, `${Buffer.byteLength(text)} bytes are kept`);
  const brackets = JSON.stringify(value, (_, part) => (typeof part === 'string' ? '' : part));
  check(!brackets.includes('['.repeat(MAX_KEPT_LEVELS)), 'nothing is nested deeply');
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
}
