import { expect, test } from 'vitest';
import { decodeRuleMessage, sha256 } from '../../core/rule-message.ts';

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

test('what an error action got instead of the queue is the message that the rule would have put there', () => {
  const at = new Date('2026-03-01T11:59:58Z');
  const { topic, clientId: client_id, base64OriginalPayload: payload } = undelivered;
  const delivered = { payload, topic, received_at: at.getTime(), client_id };
  const decoded = decodeRuleMessage(JSON.stringify(undelivered), 2, now, at);
  expect(decoded.ok).toBe(true);
  expect(decoded).toEqual(decodeRuleMessage(JSON.stringify(delivered), 2, now));
});

test('where nobody knows when it came, it is kept as its device said it, with why, and is not taken for news', () => {
  const decoded = decodeRuleMessage(JSON.stringify(undelivered), 2, now);
  expect(decoded).toEqual({
    ok: false,
    rejected: {
      topic: 'paku/edge/ESP32-20E955A0/status',
      clientId: 'ESP32-20E955A0',
      receivedAt: now,
      reason: expect.stringMatching(/^its rule could not put it on the queue.*The rule: AccessDenied$/),
      payload: Buffer.from(said),
      payloadHash: sha256(said),
    },
  });
});

test('a body that neither a rule nor its error action makes is kept whole', () => {
  const decoded = decodeRuleMessage('{"hello": 1}', 2, now);
  expect(decoded).toMatchObject({ ok: false, rejected: { topic: '', payload: Buffer.from('{"hello": 1}') } });
});
