import { describe, expect, test } from 'vitest';
import { decodeRuleMessage, type RuleMessage } from '../../../core/ingest/index.ts';
import { parseOtaMessage } from '../../../lambdas/ingest-ota/ota-message.ts';
import { parseStatus } from '../../../lambdas/ingest-status/status-message.ts';
import { sendersOf } from '../../support/senders.ts';

const RECEIVED = new Date('2026-03-01T12:00:00Z');

function fromDevice(topic: string, payload: string): RuleMessage {
  const bytes = Buffer.from(payload);
  const body = { payload: bytes.toString('base64'), topic, received_at: RECEIVED.getTime(), client_id: 'van-1' };
  const decoded = decodeRuleMessage(JSON.stringify(body), sendersOf(topic), RECEIVED);
  if (!decoded.ok) throw new Error(decoded.reason.reason);
  return decoded.value;
}

const parse = (payload: string) => parseStatus(fromDevice('paku/edge/van-1/status', payload));

/** A status of firmware 1.4.2 in which a sensor failed; `%` stands for its value. */
const TEMPLATE =
  '{"last_seen":"","online":true,"device_id":"van-1","temperature":%,"firmware_version":"1.4.2","device_model":"esp32-s3","mac":"A0:B7:65:20:E9:55","signal_strength_dbm":-61,"uptime_s":86412}';

describe('a status keeps version, model, MAC address and liveness, whatever a sensor says', () => {
  test.each(
    ['nan', '-nan', 'NaN', 'inf', '-inf', 'Infinity', '71582784.', '.5', '+1', '1e999', '1e', '--', '', 'ovf', '0x1F']
      .concat(['None', 'True', '21,5', 'error', 'not ready', '"', '""', `'x'`, '"a"b"', '[nan]', '[', '{', '}', ']'])
      .concat(['{"t":nan}', '{"t":}', '\0', '@', '\\', '/*x*/1', 'null,"temperature":nan']),
  )('%j', (value) => {
    const { report } = parse(TEMPLATE.replace('%', value));
    expect(report).toMatchObject({ deviceId: 'van-1', online: true, lastSeen: RECEIVED });
    // An opening bracket or a quote alone may swallow what follows; the brace alone ends the object.
    if (['[', '{', '"'].includes(value)) return;
    expect(report).toMatchObject({
      version: '1.4.2',
      model: 'esp32-s3',
      macAddress: 'A0:B7:65:20:E9:55',
      uptimeSeconds: 86412,
      signalStrengthDbm: -61,
    });
  });
});

describe('fields of a status', () => {
  test.each<[string, string, object]>([
    [
      'numbers as text',
      '{"uptime_seconds":"5","signal_strength_dbm":"-61.0"}',
      { uptimeSeconds: 5, signalStrengthDbm: -61 },
    ],
    ['online as 0', '{"online":0}', { online: false, lastSeen: null }],
    ['online as text', '{"online":"false"}', { online: false, lastSeen: null }],
    ['online as 1', '{"online":1}', { online: true, lastSeen: RECEIVED }],
    ['online as another word', '{"online":"maybe"}', { online: true, lastSeen: RECEIVED }],
    ['a last will of one word', 'offline', { online: false, lastSeen: null }],
    ['a version with a number of parts', '{"firmware_version":1.10}', { version: '1.10' }],
    ['a version in a buffer of fixed size', '{"firmware_version":"1.4.2\\u0000\\u0000"}', { version: '1.4.2' }],
    ['a model that is a number', '{"device_model":8266}', { model: '8266' }],
    [
      'a second spelling, where the first one cannot be used',
      '{"mac":"unset","mac_address":7,"wifi":{"mac":"a0b76520e955","rssi":-61},"signal_strength_dbm":"?","uptime_seconds":"","uptime_s":5}',
      { macAddress: 'A0:B7:65:20:E9:55', signalStrengthDbm: -61, uptimeSeconds: 5 },
    ],
    // WiFi.macAddress() of core 3.x, before Wi-Fi is started.
    ['a MAC address of zeros', '{"mac":"00:00:00:00:00:00"}', { macAddress: null, macReceivedAt: null }],
    ['a MAC address of ones', '{"mac":"ff-ff-ff-ff-ff-ff"}', { macAddress: null }],
    [
      'a MAC address of zeros beside another one',
      '{"mac":"00:00:00:00:00:00","wifi":{"mac":"A0:B7:65:20:E9:55"}}',
      { macAddress: 'A0:B7:65:20:E9:55' },
    ],
  ])('%s', (_, payload, expected) => {
    const { report, rejection } = parse(payload);
    expect(report).toMatchObject(expected);
    expect(rejection).toBeNull();
  });

  test.each(['(null)', 'null', 'NULL', 'undefined', 'None', 'nan', 'unknown', 'UNKNOWN', 'N/A', '?', '-'])(
    'the word %s names no version and no model',
    (word) => {
      const { report, rejection } = parse(`{"firmware_version":"${word}","device_model":"${word}"}`);
      expect(report).toMatchObject({ version: null, versionReceivedAt: null, model: null, modelReceivedAt: null });
      expect(rejection).toBeNull();
    },
  );

  test('a version that cannot be used is named and recorded, and the other fields count', () => {
    const { report, rejection } = parse('{"firmware_version":{"a":1},"device_model":"esp32-s3"}');
    expect(report).toMatchObject({ version: null, versionReceivedAt: null, model: 'esp32-s3', lastSeen: RECEIVED });
    expect(rejection).toBe('firmware_version is {"a":1}; expected text of 1 to 64 characters');
    expect(report.statusFault).toBe(rejection);
  });

  test('a status that cannot be read shows that the device is alive, and says where it fails', () => {
    const { report, rejection } = parse('garbage');
    expect(report).toMatchObject({ online: true, lastSeen: RECEIVED, version: null, model: null, macAddress: null });
    expect(rejection).toBe('payload cannot be read: character 1: expected a JSON object: "garbage"');
  });

  test('a status that is read in part names its fault and is not rejected', () => {
    const { report, rejection } = parse('{"firmware_version":"1.4.2","t":nan}');
    expect({ fault: report.statusFault, rejection }).toEqual({
      fault: 'character 33: field "t" is nan',
      rejection: null,
    });
  });
});

describe('a report about an update', () => {
  const read = (kind: 'status' | 'progress' | 'result', payload: string) => {
    const parsed = parseOtaMessage(fromDevice(`paku/devices/van-1/ota/${kind}`, payload), kind);
    return parsed.ok ? parsed.value : parsed.reason;
  };

  test.each<['status' | 'progress' | 'result', string, object]>([
    ['result', '{"success":false,"result_code":"4"}', { payload: { success: false, resultCode: 4 } }],
    ['result', '{"success":0,"result_code":2}', { payload: { success: false, resultCode: 2 } }],
    ['result', '{"success":"true"}', { payload: { success: true, resultCode: null } }],
    ['result', '{"result_code":0}', { payload: { success: true, resultCode: 0 } }],
    ['result', '{"success":false,"result_code":2,"heap":nan}', { payload: { success: false, resultCode: 2 } }],
    ['result', '{"success":false,"result_code":2,"message":{"a":1}}', { payload: { message: null } }],
    ['result', '{"success":false,"result_code":2,"message":"Downl', { payload: { success: false, resultCode: 2 } }],
    ['result', '{"version":"1.2.0","success":true,"speed":inf}', { version: '1.2.0', payload: { success: true } }],
    ['result', '{"version":1.20,"success":1}', { version: '1.20', payload: { success: true } }],
    ['progress', '{"state":"Downloading","percent":"45"}', { state: 'downloading', payload: { percent: 45 } }],
    ['progress', '{"state":"Downloading","percent":"45%"}', { payload: { percent: 45 } }],
    ['progress', '{"state":"Downloading","percent":nan}', { state: 'downloading', payload: { percent: null } }],
    ['progress', '{"percent":45}', { state: null, payload: { percent: 45 } }],
    ['progress', '{"state":"__proto__"}', { state: null }],
    ['progress', 'garbage', { type: 'progress', state: null }],
    ['status', '{"status":"accepted","heap":nan}', { type: 'accepted' }],
    ['status', '{"status":"Accepted\\u0000","target_version":"1.5.0"}', { type: 'accepted', version: '1.5.0' }],
    [
      'status',
      '{"status":"busy","retry_after_seconds":"60"}',
      { type: 'declined', payload: { retryAfterSeconds: 60 } },
    ],
  ])('%s %s', (kind, payload, expected) => {
    expect(read(kind, payload)).toMatchObject(expected);
  });

  test.each<['status' | 'progress' | 'result', string, string]>([
    ['result', '{"success":"perhaps"}', 'success is "perhaps" and result_code is missing'],
    [
      'result',
      '{"x":1,"success":fal',
      'not a valid result message: character 21: the payload ends within field "success"',
    ],
    ['result', 'garbage', 'payload cannot be read: character 1'],
    ['status', '{}', 'status is missing; expected text of 1 to 64 characters'],
    ['result', `{"version":"${'1'.repeat(65)}","success":true}`, 'expected at most 64 characters'],
  ])('%s %s is rejected with the reason', (kind, payload, reason) => {
    expect(read(kind, payload)).toContain(reason);
  });
});
