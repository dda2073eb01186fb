import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeRuleMessage, type RuleMessage } from '../../core/ingest/index.ts';
import type { OtaTopicKind } from '../../core/protocol/index.ts';
import { parseOtaMessage } from '../../lambdas/ingest-ota/ota-message.ts';
import { parseStatus } from '../../lambdas/ingest-status/status-message.ts';
import { sendersOf } from '../support/senders.ts';

const page = readFileSync(new URL('../../docs/connect-a-device.md', import.meta.url), 'utf8');

function fromDevice(topic: string, payload: string): RuleMessage {
  const body = {
    payload: Buffer.from(payload).toString('base64'),
    topic,
    received_at: Date.now(),
    client_id: topic.split('/')[2],
  };
  const decoded = decodeRuleMessage(JSON.stringify(body), sendersOf(topic), new Date());
  if (!decoded.ok) throw new Error(decoded.reason.reason);
  return decoded.value;
}

test('the status that the page on devices shows is taken', () => {
  const [, status = ''] = /```json\n(.*?)\n```/s.exec(page) ?? [];
  expect(parseStatus(fromDevice('paku/edge/d/status', status))).toMatchObject({
    report: { version: '1.0.0', model: 'esp32-s3', macAddress: 'A0:B7:65:20:E9:55', uptimeSeconds: 7, online: true },
  });
  expect(parseStatus(fromDevice('paku/edge/d/status', '{"online":false}'))).toMatchObject({
    report: { online: false },
  });
});

test.each(['status', 'progress', 'result'] satisfies OtaTopicKind[])('its %s of an update is taken', (kind) => {
  const [, payload = ''] = new RegExp(`^\\| \`${kind}\` +\\| \`({.*?})\``, 'm').exec(page) ?? [];
  const message = parseOtaMessage(fromDevice(`paku/devices/d/ota/${kind}`, payload), kind);
  expect(message).toMatchObject({ value: { version: kind === 'progress' ? null : '1.2.0' } });
});
