import { expect, test } from 'vitest';
import { decodeRuleMessage } from '../../../core/ingest/rule-message.ts';
import { sha256 } from '../../../core/util/index.ts';
import { parseOtaMessage } from '../../../lambdas/ingest-ota/ota-message.ts';
import { parseStatus } from '../../../lambdas/ingest-status/status-message.ts';
import { OTA_SENDERS, STATUS_SENDERS } from '../../support/senders.ts';

const now = new Date('2026-03-01T12:00:00Z');

const said = '{"firmware_version":"1.0.0","uptime_seconds":5}';
const undelivered = {
  ruleName: 'StatusRules',
  topic: 'paku/edge/ESP32-20E955A0/status',
  cloudwatchTraceId: '7e146a2c-95b5-6caf-98b9-50e3969734c7',
  clientId: 'ESP32-20E955A0',
  base64OriginalPayload: Buffer.from(said).toString('base64'),
  failures: [{ failedAction: 'SqsAction', failedResource: 'queue', errorMessage: 'AccessDenied' }],
};

test('decodes a message from an error action like the message that the rule would have queued', () => {
  const at = new Date('2026-03-01T11:59:58Z');
  const { topic, clientId: client_id, base64OriginalPayload: payload } = undelivered;
  const delivered = { payload, topic, received_at: at.getTime(), client_id };
  const decoded = decodeRuleMessage(JSON.stringify(undelivered), STATUS_SENDERS, now, at);
  expect(decoded.ok).toBe(true);
  expect(decoded).toEqual(decodeRuleMessage(JSON.stringify(delivered), STATUS_SENDERS, now));
});

test('rejects a message without a receive time and keeps it with the reason', () => {
  const decoded = decodeRuleMessage(JSON.stringify(undelivered), STATUS_SENDERS, now);
  expect(decoded).toEqual({
    ok: false,
    reason: {
      topic: 'paku/edge/ESP32-20E955A0/status',
      clientId: 'ESP32-20E955A0',
      receivedAt: now,
      reason: expect.stringMatching(/^its topic rule could not put it on the queue.*The rule: AccessDenied$/),
      payload: Buffer.from(said),
      payloadHash: sha256(said),
    },
  });
});

test('keeps the whole body if neither a rule nor its error action made it', () => {
  const decoded = decodeRuleMessage('{"hello": 1}', STATUS_SENDERS, now);
  expect(decoded).toMatchObject({ ok: false, reason: { topic: '', payload: Buffer.from('{"hello": 1}') } });
});

test.each([
  ['that states another device', { device_id: `${'x'.repeat(78)}😀` }],
  ['whose version is too long', { firmware_version: `${'x'.repeat(78)}😀` }],
])('the reason why a message %s is refused can be stored, wherever it was truncated', (_, said) => {
  const decoded = decodeRuleMessage(bodyOf('paku/edge/van-1/status', said), STATUS_SENDERS, now);
  const reason = (decoded.ok ? parseStatus(decoded.value).rejection : decoded.reason.reason) ?? '';
  expect(reason).toContain('xxxxx');
  expect(reason.isWellFormed()).toBe(true);
});

test('the message of a result can be stored, wherever it was truncated', () => {
  const said = { success: false, message: `${'x'.repeat(499)}😀` };
  const decoded = decodeRuleMessage(bodyOf('paku/edge/van-1/ota/result', said), OTA_SENDERS, now);
  const read = decoded.ok ? parseOtaMessage(decoded.value, 'result') : undefined;
  expect(read?.ok && (read.value.payload as { message: string }).message).toBe(`${'x'.repeat(499)}\uFFFD`);
});

test('stores what can be stored of an invalid topic', () => {
  const decoded = decodeRuleMessage(bodyOf('paku/edge/\0\uD800/status', {}), STATUS_SENDERS, now);
  expect(decoded).toMatchObject({ ok: false, reason: { topic: 'paku/edge/\uFFFD\uFFFD/status' } });
  expect(decoded.ok || decoded.reason.reason).toBe(
    'not a topic of this kind of message: expected paku/edge/<device id>/status',
  );
});

const bodyOf = (topic: string, said: object) =>
  JSON.stringify({ topic, received_at: 1, payload: Buffer.from(JSON.stringify(said)).toString('base64') });

test.each([
  ['reads a value nested in 15 objects', 15, '', true],
  ['leaves out a value nested in 16 objects', 16, '', false],
  ['leaves out deep nesting beside other values', 16, ',"x":[]', false],
  ['reads many brackets side by side', 2, `,"x":[${'[],'.repeat(40)}[]]`, true],
])('%s', (_, objects, more, isWhole) => {
  const text = `{"a":${'{"a":'.repeat(objects - 1)}1${'}'.repeat(objects - 1)}${more}}`;
  const payload = Buffer.from(text).toString('base64');
  const body = JSON.stringify({ payload, topic: 'paku/edge/d0/status', received_at: now.getTime(), client_id: 'd0' });
  const decoded = decodeRuleMessage(body, STATUS_SENDERS, now);
  expect(decoded.ok && decoded.value.fault === null).toBe(isWhole);
  if (isWhole) expect(decoded).toMatchObject({ value: { payload: JSON.parse(text) } });
  else expect(decoded).toMatchObject({ ok: true, value: { fault: expect.stringContaining('deeper than 15 levels') } });
});

test.each([
  ['null', null, true],
  ['an empty text', '', true],
  ['blanks', ' ', true],
  ['a list', ['x'], true],
  ['the device of the topic', 'van-1', true],
  ['the device of the topic in a buffer of fixed size', 'van-1\0\0', true],
  ['another device', 'van-2', false],
  ['a number', 7, false],
])('decides by the topic if the payload states as device_id %s', (_, deviceId, isTaken) => {
  expect(decodeRuleMessage(bodyOf('paku/edge/van-1/status', { device_id: deviceId }), STATUS_SENDERS, now).ok).toBe(
    isTaken,
  );
});

test('an empty payload is a sign of life only from the device itself: anyone may clear a retained message', () => {
  const from = (client_id: string) =>
    JSON.stringify({ topic: 'paku/edge/van-1/status', received_at: 1, payload: '', client_id });
  expect(decodeRuleMessage(from('van-1'), STATUS_SENDERS, now)).toMatchObject({
    ok: true,
    value: { isReadable: false },
  });
  expect(decodeRuleMessage(from('mosqpub'), STATUS_SENDERS, now)).toMatchObject({ ok: false });
});

const from = (client_id: string | undefined, topic: string) =>
  JSON.stringify({ topic, received_at: 1, payload: Buffer.from(said).toString('base64'), client_id });

/** By Basic Ingest a device chooses the rule and the topic; the filter of the rule is not looked at. */
const FOREIGN_TOPICS = [
  'paku/sensors/van-1/status',
  'paku/sensors/van-1',
  'paku/edge/van-1',
  'paku/edge/van-1/status/more',
  'paku/edge/van-1/status/paku/edge/van-2/x',
  'paku/edge/van-1/cmd/ota',
  'paku/heater/van-1/status',
  'other/edge/van-1/status',
  'xpaku/edge/van-1/status',
  'paku/edge//status',
  'paku/edge/van+1/status',
  '/paku/edge/van-1/status',
  'paku/edge/van-1/status/',
  'paku/edge/van-1/status\n',
];

test.each([...FOREIGN_TOPICS, 'paku/devices/van-1/status', 'paku/edge/van-1/ota/status'])(
  'a status on the topic %j is rejected, whichever rule led it here',
  (topic) => {
    expect(decodeRuleMessage(from('van-1', topic), STATUS_SENDERS, now)).toMatchObject({
      ok: false,
      reason: { reason: 'not a topic of this kind of message: expected paku/edge/<device id>/status' },
    });
  },
);

test.each([...FOREIGN_TOPICS, 'paku/edge/van-1/status', 'paku/edge/van-1/ota', 'paku/edge/van-1/ota/status/x'])(
  'an OTA message on the topic %j is rejected, whichever rule led it here',
  (topic) => {
    expect(decodeRuleMessage(from('van-1', topic), OTA_SENDERS, now)).toMatchObject({
      ok: false,
      reason: {
        reason:
          'not a topic of this kind of message: expected paku/devices|edge/<device id>/ota/status|progress|result',
      },
    });
  },
);

test.each([
  ['the device itself', 'van-1', true],
  // A last will on some brokers, and messages that came by HTTPS with AWS credentials.
  ['no MQTT client', 'n/a', true],
  ['another device', 'van-2', false],
  ['a claim', 'claim/van-1', false],
  ['a name that differs in case', 'VAN-1', false],
])('the message of a device is taken from its own client alone: from %s', (_, client, isTaken) => {
  const body = from(client, 'paku/edge/van-1/status');
  const decoded = decodeRuleMessage(body, STATUS_SENDERS, now);
  expect(decoded.ok).toBe(isTaken);
  if (!decoded.ok) expect(decoded.reason.reason).toBe(`sent by the client "${client}", the topic belongs to van-1`);
  expect(decodeRuleMessage(body, { ...STATUS_SENDERS, acceptAnyClientId: true }, now).ok).toBe(true);
});

test('a message of an error action is taken from the own client alone', () => {
  const body = JSON.stringify({ ...undelivered, clientId: 'van-2' });
  expect(decodeRuleMessage(body, STATUS_SENDERS, now, now)).toMatchObject({
    ok: false,
    reason: { clientId: 'van-2' },
  });
});
