import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { CapturedFirmware } from '../support/captured-firmware.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

let system: TestSystem;
let api: ApiClient;
beforeAll(async () => {
  system = await startTestSystem();
  const { region, api: endpoint } = system.runtime.endpoints;
  api = new ApiClient(
    endpoint.url,
    signedFetch(region, endpoint, () => system.now()),
  );
});
afterAll(() => system?.close());

/** Connects like field firmware, and then subscribes to a topic that the policy does not allow. */
async function beRefused(deviceId: string): Promise<void> {
  const window = await new CapturedFirmware(system, '1.4.2', deviceId).openWindow();
  await expect(window.subscribe('paku/devices/another/cmd/ota')).rejects.toThrow();
}

test('a device that its policy disconnects again and again is seen by operators, with what the policy allows', async () => {
  for (let n = 1; n <= 3; n++) await beRefused('REFUSED-1');
  await system.until(`SELECT 1 FROM refused_clients WHERE client_id = 'REFUSED-1' AND times = 3`);
  const { attention } = await api.fleet();
  expect(attention).toMatchObject([
    {
      kind: 'refused_by_policy',
      message: expect.stringMatching(
        /^Device REFUSED-1 was disconnected by its policy 3 times in .*; its policy allows: subscribe to paku\/edge\/REFUSED-1\/\*, .*; publish on .*; retain on /,
      ),
    },
  ]);
  expect(await api.device('REFUSED-1')).toMatchObject({
    refusals: { times: 3 },
    connection: { state: 'disconnected', reason: 'AUTH_ERROR' },
  });
});

/** Connects and does at once what the policy does not allow. */
async function beRefusedAtOnce(deviceId: string): Promise<void> {
  const { host, port, caFile } = system.runtime.endpoints.mqtt;
  const { certificateFile, privateKeyFile } = await system.runtime.addDevice(deviceId);
  const [ca = '', cert = '', key = ''] = [caFile, certificateFile, privateKeyFile].map((file) =>
    readFileSync(file, 'utf8'),
  );
  const tls = { protocol: 'mqtts', host, port, ca, cert, key } as const;
  const client = await mqtt.connectAsync({ ...tls, clientId: deviceId, protocolVersion: 4, reconnectPeriod: 0 });
  client.on('error', () => {});
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.subscribe('paku/devices/another/cmd/ota');
  await closed;
}

test('a device that is refused before its first status is seen as well', async () => {
  for (let n = 1; n <= 3; n++) await beRefusedAtOnce('REFUSED-2');
  await system.until(`SELECT 1 FROM refused_clients WHERE client_id = 'REFUSED-2' AND times = 3`);
  const { attention } = await api.fleet();
  expect(attention[0]?.message).toMatch(
    /^Device REFUSED-2, which never reported, was disconnected by its policy 3 times .*\. So were REFUSED-1$/,
  );
  await expect(api.device('REFUSED-2')).rejects.toThrow(
    'There is no device REFUSED-2: it never reported, and it was disconnected by its policy 3 times',
  );
});

test('the connection of a device is what the broker knows', async () => {
  const window = await new CapturedFirmware(system, '1.4.2', 'WORKS').openWindow();
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'WORKS'`);
  expect(await api.device('WORKS')).toMatchObject({
    refusals: null,
    connection: {
      state: 'connected',
      topics: expect.arrayContaining(['paku/control', 'paku/edge/WORKS/cmd/ota']),
      text: expect.stringMatching(/; listens on paku\/edge\/WORKS\/cmd\/ota$/),
    },
  });
  await window.close();
  await expect
    .poll(async () => (await api.device('WORKS')).connection)
    .toMatchObject({ state: 'disconnected', reason: 'CLIENT_INITIATED_DISCONNECT', topics: null });
});
