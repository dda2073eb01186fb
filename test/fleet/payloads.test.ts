import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../fleet/command.ts';
import { acceptedPayload, progressPayload, resultPayload } from '../../fleet/ota-payload.ts';
import { packetBytes } from '../../fleet/packet-size.ts';
import { deviceTimestamp, statusPayload } from '../../fleet/status-payload.ts';
import { topicsOf } from '../../fleet/topics.ts';

const FACTS = {
  deviceId: 'ESP8266-9608CF16',
  model: 'esp8266-wired-sensors',
  version: '1.4.2',
  mac: 'A0:B7:65:20:E9:55',
  rssiDbm: -71,
  uptimeSeconds: 86412,
  timestamp: '2025-12-26T08:14:02Z',
};
const UPDATE = { timestamp: '2025-12-26T09:00:01Z', currentVersion: '1.4.2', targetVersion: '1.5.0' };

describe('a status', () => {
  it('of the seed contains version, model and MAC, and no time', () => {
    expect(statusPayload('seed', FACTS)).toEqual({
      firmware_version: '1.4.2',
      device_model: 'esp8266-wired-sensors',
      wifi: { mac: 'A0:B7:65:20:E9:55', rssi: -71 },
    });
  });

  it('of 1.2.3 contains neither model nor MAC', () => {
    expect(statusPayload('1.2.3', FACTS)).toEqual({
      online: true,
      last_seen: '2025-12-26T08:14:02Z',
      signal_strength_dbm: -71,
      uptime_seconds: 86412,
      firmware_version: '1.4.2',
      state: 'continuous',
      heater_status: 1,
      active_scenario: 'heater_active',
    });
  });

  it('of 1.3.0 contains uptime and signal strength under other names', () => {
    expect(statusPayload('1.3.0', FACTS)).toEqual({
      timestamp: '2025-12-26T08:14:02Z',
      state: 'COLLECT',
      uptime_s: 86412,
      wifi: { connected: true, rssi: -71, ip: '192.168.1.42' },
      mqtt: { connected: true },
      device_id: 'ESP8266-9608CF16',
      firmware_version: '1.4.2',
      device_model: 'esp8266-wired-sensors',
    });
  });

  it('of 1.4.2 contains device id and model', () => {
    expect(statusPayload('1.4.2', FACTS)).toEqual({
      device_id: 'ESP8266-9608CF16',
      firmware_version: '1.4.2',
      device_model: 'esp8266-wired-sensors',
      online: true,
      last_seen: '2025-12-26T08:14:02Z',
      signal_strength_dbm: -71,
      uptime_seconds: 86412,
    });
  });

  it('has times with whole seconds', () => {
    expect(deviceTimestamp(7999)).toBe('1970-01-01T00:00:07Z');
  });
});

describe('an OTA message', () => {
  const outcome = { code: 2, message: 'Download failed', reason: 'not sent' } as const;

  it('of older firmware contains the target version as `version`', () => {
    const context = { form: '1.2.3', ...UPDATE } as const;

    const [timestamp, version] = [UPDATE.timestamp, '1.5.0'];
    expect(acceptedPayload(context)).toEqual({ timestamp, status: 'accepted', version });
    const result = { timestamp, version, success: false, result_code: 2, message: 'Download failed' };
    expect(resultPayload(context, outcome)).toEqual(result);
  });

  it('of newer firmware contains both versions', () => {
    const context = { form: '1.4.2', ...UPDATE } as const;

    const names = { timestamp: UPDATE.timestamp, current_version: '1.4.2', target_version: '1.5.0' };
    expect(acceptedPayload(context)).toEqual({ ...names, status: 'accepted' });
    expect(resultPayload(context, outcome)).toEqual({
      ...names,
      success: false,
      result_code: 2,
      message: 'Download failed',
    });
  });

  it('contains whole percents, and none before the size is known', () => {
    const some = { state: 'Downloading', downloadedBytes: 189_440, totalBytes: 512_000, elapsedMs: 7911 } as const;
    const none = { state: 'Checking', downloadedBytes: 0, totalBytes: 0, elapsedMs: 3 } as const;

    expect(progressPayload(UPDATE.timestamp, some)).toEqual({
      timestamp: UPDATE.timestamp,
      state: 'Downloading',
      percent: 37,
      downloaded: 189_440,
      total: 512_000,
      elapsed_ms: 7911,
    });
    expect(progressPayload(UPDATE.timestamp, none)).toMatchObject({ percent: 0, total: 0 });
  });
});

describe('the topics', () => {
  it('of the status are under edge in every generation', () => {
    const statuses = (['devices', 'edge', 'both'] as const).map((family) => topicsOf('vans', 'E-1', family).status);

    expect(new Set(statuses)).toEqual(new Set(['vans/edge/E-1/status']));
  });

  it('of commands and answers are those of the family', () => {
    expect(topicsOf('paku', 'E-1', 'edge')).toMatchObject({
      commands: ['paku/edge/E-1/cmd/ota'],
      otaResult: 'paku/edge/E-1/ota/result',
    });
    expect(topicsOf('paku', 'E-1', 'both')).toMatchObject({
      commands: ['paku/devices/E-1/cmd/ota', 'paku/edge/E-1/cmd/ota'],
      otaResult: 'paku/devices/E-1/ota/result',
    });
  });
});

describe('a packet', () => {
  it.each([
    [0, 2],
    [127, 129],
    [128, 131],
    [253, 256],
    [16_383, 16_386],
    [16_384, 16_388],
    [2_097_152, 2_097_157],
  ])('with a remaining length of %i has %i bytes', (remainingLength, bytes) => {
    expect(packetBytes(remainingLength)).toBe(bytes);
  });
});

describe('a command', () => {
  it('has three fields, which are empty if they are missing or not text', () => {
    const payload = Buffer.from('{"url":"http://x","version":7,"more":true}');

    expect(parseCommand(payload)).toEqual({ url: 'http://x', checksum: '', version: '' });
  });

  it.each(['', 'null', '[]', '"x"', '{'])('is not parsed from %j', (payload) => {
    expect(parseCommand(Buffer.from(payload))).toBeUndefined();
  });
});
