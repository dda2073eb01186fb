import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodeRuleMessage, type RuleMessage } from '../../../core/ingest/index.ts';
import { parseOtaTopic } from '../../../core/protocol/index.ts';
import { parseOtaMessage } from '../../../lambdas/ingest-ota/ota-message.ts';
import { parseStatus } from '../../../lambdas/ingest-status/status-message.ts';
import { sendersOf } from '../../support/senders.ts';

const RECEIVED = Date.UTC(2026, 0, 1);
const capture = (name: string) => readFileSync(new URL(`../../fixtures/captures/${name}`, import.meta.url), 'utf8');

function fromBroker(topic: string, payload: string): RuleMessage {
  const body = {
    payload: Buffer.from(payload).toString('base64'),
    topic,
    received_at: RECEIVED,
    client_id: topic.split('/')[2],
  };
  const decoded = decodeRuleMessage(JSON.stringify(body), sendersOf(topic), new Date());
  if (!decoded.ok) throw new Error(decoded.reason.reason);
  return decoded.value;
}

describe('statuses captured from field devices', () => {
  const cases: [string, string, object][] = [
    [
      'status-seed.json',
      'ESP32-20E955A0',
      { version: '1.0.0', model: 'esp32-s3', macAddress: 'A0:B7:65:20:E9:55', signalStrengthDbm: -61 },
    ],
    [
      'status-1.2.3.json',
      'ESP32-20E955A0',
      { version: '1.2.3', model: null, macAddress: null, uptimeSeconds: 3847, online: true },
    ],
    [
      'status-1.3.0.json',
      'ESP32-27C136B8',
      { version: '1.3.0', model: 'lilygo-t-display-s3', uptimeSeconds: 12345, signalStrengthDbm: -58 },
    ],
    [
      'status-1.4.2.json',
      'ESP8266-9608CF16',
      { version: '1.4.2', model: 'esp8266-wired-sensors', uptimeSeconds: 86412 },
    ],
    ['status-before-ntp.json', 'ESP32-20E955A0', { version: '1.2.3', lastSeen: new Date(RECEIVED) }],
    ['status-last-will.json', 'ESP32-20E955A0', { online: false, lastSeen: null, version: null }],
  ];
  test.each(cases)('%s', (file, deviceId, expected) => {
    const status = parseStatus(fromBroker(`paku/edge/${deviceId}/status`, capture(file)));
    expect(status).toMatchObject({ report: { deviceId, ...expected } });
  });
});

describe('OTA messages captured from field devices', () => {
  const read = (file: string) =>
    capture(file)
      .trim()
      .split('\n')
      .map((line) => {
        const { topic, payload } = JSON.parse(line) as { topic: string; payload: object };
        const parsed = parseOtaTopic(topic);
        if (parsed === undefined) throw new Error(`${topic} is no OTA topic`);
        const message = parseOtaMessage(fromBroker(topic, JSON.stringify(payload)), parsed.kind);
        if (!message.ok) throw new Error(message.reason);
        return { family: parsed.family, ...message.value };
      });

  test('firmware 1.2.3 reports under paku/devices and names the version', () => {
    const reports = read('ota-1.2.3.jsonl');
    expect(reports.map(({ type, state }) => [type, state])).toEqual([
      ['accepted', null],
      ['progress', 'downloading'],
      ['progress', 'downloading'],
      ['progress', 'downloading'],
      ['progress', 'downloaded'],
      ['progress', null],
      ['result', null],
    ]);
    expect(reports[0]).toMatchObject({ family: 'devices', version: '1.2.3' });
    expect(reports.at(-1)).toMatchObject({ version: '1.2.3', payload: { success: true, resultCode: 0 } });
  });

  test('firmware 1.4.2 reports under paku/edge and names the target version', () => {
    const reports = read('ota-1.4.2.jsonl');
    expect(reports[0]).toMatchObject({ family: 'edge', type: 'accepted', version: '1.5.0' });
    expect(reports.at(-1)).toMatchObject({
      version: '1.5.0',
      payload: { success: false, resultCode: 2, message: 'Download failed' },
    });
  });
});
