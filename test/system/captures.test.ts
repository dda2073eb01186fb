import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricValues, sum } from '../support/metrics.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

const capture = (name: string) => readFileSync(new URL(`../fixtures/captures/${name}`, import.meta.url), 'utf8').trim();

/** Publishes messages as the device in order. At QoS 1 the broker has received them when this resolves. */
async function publish(deviceId: string, messages: readonly { topic: string; payload: string }[]): Promise<void> {
  const { host, port, caFile } = system.runtime.endpoints.mqtt;
  const { certificateFile, privateKeyFile } = await system.runtime.addDevice(deviceId);
  const [ca, cert, key] = [caFile, certificateFile, privateKeyFile].map((file) => readFileSync(file));
  const client = await mqtt.connectAsync({
    protocol: 'mqtts',
    host,
    port,
    clientId: deviceId,
    ca,
    cert,
    key,
  } as mqtt.IClientOptions);
  for (const { topic, payload } of messages) await client.publishAsync(topic, payload, { qos: 1 });
  await client.endAsync();
}

const statusOf = (deviceId: string, file: string) => ({
  topic: `paku/edge/${deviceId}/status`,
  payload: capture(file),
});
const otaOf = (file: string) =>
  capture(file)
    .split('\n')
    .map((line) => JSON.parse(line) as { topic: string; payload: object })
    .map(({ topic, payload }) => ({ topic, payload: JSON.stringify(payload) }));

describe('captured messages of field devices, from MQTT to the database', () => {
  test('firmware 1.2.3: statuses with and without a synchronized clock, an update that the device started, a last will', async () => {
    const id = 'ESP32-20E955A0';
    await publish(id, [
      statusOf(id, 'status-seed.json'),
      statusOf(id, 'status-before-ntp.json'),
      ...otaOf('ota-1.2.3.jsonl'),
      statusOf(id, 'status-1.2.3.json'),
      statusOf(id, 'status-last-will.json'),
    ]);
    const device = await system.until<Record<string, unknown>>(
      `SELECT * FROM devices WHERE device_id = '${id}' AND NOT online AND command_family IS NOT NULL
         AND current_firmware_version = '1.2.3'`,
    );
    expect(device).toMatchObject({
      current_firmware_version: '1.2.3',
      device_model: 'esp32-s3',
      mac_address: 'A0:B7:65:20:E9:55',
      command_family: 'devices',
      uptime_seconds: 3847,
      signal_strength_dbm: -52,
    });
    expect((device.last_seen as Date).getTime()).toBeGreaterThan(Date.now() - 60_000);
    const update = await system.until<Record<string, unknown>>(
      `SELECT * FROM device_update_status WHERE device_id = '${id}' AND installed_at IS NOT NULL`,
    );
    expect(update).toMatchObject({
      firmware_version: '1.2.3',
      rollout_id: null,
      status: 'success',
      result_code: 0,
      progress_percent: 100,
    });
  });

  test('firmware 1.3.0: a status with another model and without a MAC address', async () => {
    const id = 'ESP32-27C136B8';
    await publish(id, [statusOf(id, 'status-1.3.0.json')]);
    expect(await system.until(`SELECT * FROM devices WHERE device_id = '${id}'`)).toMatchObject({
      current_firmware_version: '1.3.0',
      device_model: 'lilygo-t-display-s3',
      mac_address: null,
      uptime_seconds: 12345,
      signal_strength_dbm: -58,
    });
  });

  test('firmware 1.4.2 on an ESP8266: the topic family edge, and a failed download', async () => {
    const id = 'ESP8266-9608CF16';
    await publish(id, [statusOf(id, 'status-1.4.2.json')]);
    // Statuses and reports wait in two queues; a device boots long before it is updated.
    await system.until(`SELECT 1 FROM devices WHERE device_id = '${id}'`);
    await publish(id, otaOf('ota-1.4.2.jsonl'));
    const update = await system.until<Record<string, unknown>>(
      `SELECT * FROM device_update_status WHERE device_id = '${id}' AND status = 'failed'`,
    );
    expect(update).toMatchObject({
      firmware_version: '1.5.0',
      previous_version: '1.4.2',
      result_code: 2,
      error_message:
        'download failed (2): Download failed. The link was never opened: something on its network answered instead',
      progress_percent: 37,
    });
    expect(await system.until(`SELECT * FROM devices WHERE device_id = '${id}'`)).toMatchObject({
      command_family: 'edge',
      device_model: 'esp8266-wired-sensors',
    });
  });

  test('a message that cannot be processed is recorded with the reason and does not affect others', async () => {
    const id = 'ESP32-BROKEN';
    const topic = `paku/edge/${id}/status`;
    await publish(id, [
      { topic, payload: '{"firmware_version":' },
      { topic, payload: '{"device_id":"ESP32-OTHER"}' },
      { topic, payload: '{"firmware_version":{"a":1}}' },
      { topic, payload: '{"firmware_version":"1.0.0\\u0000","state":"\\ud800"}' },
      { topic: `paku/devices/${id}/ota/result`, payload: '{"success":"perhaps"}' },
    ]);
    await system.until(`SELECT count(*)::integer AS n FROM rejected_messages`, ({ n }: { n: number }) => n === 4);
    const rows = await system.database.query<{ reason: string }>('SELECT reason FROM rejected_messages ORDER BY id');
    const reasons = rows.map(({ reason }) => reason).join('\n');
    expect(reasons).toContain('payload cannot be read: character 21: the payload ends within field "firmware_version"');
    expect(reasons).toContain('payload states device_id "ESP32-OTHER", the topic states ESP32-BROKEN');
    expect(reasons).toContain('firmware_version is {"a":1}; expected text of 1 to 64 characters');
    expect(reasons).toContain('not a valid result message');
    expect(await system.until(`SELECT * FROM devices WHERE device_id = '${id}'`)).toMatchObject({
      current_firmware_version: '1.0.0',
    });
    const rejectedBy = (fn: string) => sum(metricValues(system.home, fn, 'RejectedMessages'));
    await expect.poll(() => rejectedBy('IngestStatus')).toBe(3);
    await expect.poll(() => rejectedBy('IngestOta')).toBe(1);
  });
});
