import fc from 'fast-check';
import { type Decoded, decodeRuleMessage, type RuleMessage } from '../../core/ingest/index.ts';
import { parseOtaMessage } from '../../lambdas/ingest-ota/ota-message.ts';
import { parseStatus } from '../../lambdas/ingest-status/status-message.ts';
import { hostileObject, hostileText, hostileValue } from './hostile.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
/** What the database takes of a device is no more than this, whatever it says (a row of the Data API holds 64 KB). */
const MAX_KEPT_BYTES = 16 * 1024;
const MAX_REASON = 2_000;

const STATUS_FIELDS = `firmware_version device_model device_id online mac mac_address wifi uptime_seconds uptime_s
  signal_strength_dbm timestamp heap`.split(/\s+/);
const OTA_FIELDS = 'status state percent success result_code message version target_version device_id'.split(' ');

/** As deep as 128 KB of payload can be, which is what AWS IoT takes. */
const MOST_LEVELS = 60_000;
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
const bytes = fc.oneof(
  { weight: 24, arbitrary: payload.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)) },
  { weight: 4, arbitrary: hostileText.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: MOST_LEVELS }).map(deep) },
);
const topic = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('paku/edge/van-1/status', 'paku/devices/van-1/ota/result') },
  { weight: 1, arbitrary: hostileText.map((id) => `paku/edge/${id}/status`) },
);

/** What stands on a queue: mostly what the rules put there, of devices that send what they like. */
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

/** @throws Error unless the body becomes a message, or a rejection, that the database can hold as it is */
export function checkStatus(body: string): void {
  checkDecoded(decodeRuleMessage(body, 2, NOW), (message) => {
    const result = parseStatus(message);
    if (!result.ok) return checkReason(result.reason);
    const { report } = result;
    check(report.deviceId === message.topic.split('/')[2], 'the report is of the device that the topic names');
    check((report.version?.length ?? 1) <= 64 && (report.model?.length ?? 1) <= 64, 'words fit their columns');
    for (const value of [report.uptimeSeconds, report.signalStrengthDbm])
      check(value === null || Number.isSafeInteger(value), `${value} is a whole number`);
    checkStorable(report);
  });
}

/** @throws Error unless each kind of report, read of the body, is one that the database can hold as it is */
export function checkOta(body: string): void {
  checkDecoded(decodeRuleMessage(body, 2, NOW), (message) => {
    for (const kind of ['status', 'progress', 'result'] as const) {
      const result = parseOtaMessage(message, kind);
      if (!result.ok) checkReason(result.reason);
      else {
        check((result.report.version?.length ?? 1) <= 64, 'a version fits its column');
        checkStorable(result.report);
      }
    }
  });
}

function checkDecoded(decoded: Decoded<RuleMessage>, read: (message: RuleMessage) => void): void {
  if (decoded.ok) {
    read(decoded.value);
    return;
  }
  const { topic: name, clientId, receivedAt, reason } = decoded.rejected;
  checkReason(reason);
  check(!Number.isNaN(receivedAt.getTime()), 'a rejection has a time');
  checkStorable({ name, clientId });
}

function checkReason(reason: string): void {
  check(reason.length > 0 && reason.length <= MAX_REASON, `a reason of ${reason.length} characters is told`);
  checkStorable({ reason });
}

/** Neither NUL nor half of a surrogate pair, which PostgreSQL refuses, and no more than a row holds. */
function checkStorable(value: object): void {
  const text = JSON.stringify(value);
  check(!/\\u0000|\\ud[89a-f]/i.test(text.replaceAll('\\\\', '')), `toStorable: ${text}`);
  check(Buffer.byteLength(text) <= MAX_KEPT_BYTES, `${Buffer.byteLength(text)} bytes are kept`);
  check(!text.includes('['.repeat(MAX_KEPT_LEVELS)), 'nothing is nested deeply');
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
}
