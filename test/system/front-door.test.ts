import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { linkToken } from '../../core/protocol/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { ASSEMBLY } from '../support/assembly.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const VAN = 'ESP32-VAN1';
const IMAGE = buildImage({ version: '1.1.0' });

let system: TestSystem;
let device: MqttClient;
/** The link of the newest command. */
let link: string;
/** Headers and body of every answer of the front door, except redirects. */
const answers: string[] = [];

beforeAll(async () => {
  system = await startTestSystem();
  device = await connect(VAN);
  await device.subscribeAsync(`paku/devices/${VAN}/cmd/ota`, { qos: 1 });
  const command = new Promise<{ url: string }>((resolve) => {
    device.once('message', (_, payload) => resolve(JSON.parse(payload.toString()) as { url: string }));
  });
  await publish('edge', 'status', { firmware_version: '1.0.0', device_model: 'esp32-s3' });
  await system.upload('firmware/1.1.0/esp32-s3.bin', IMAGE);
  await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.1.0'`);
  await system.until('SELECT 1 FROM devices');
  await system.database.query(`INSERT INTO rollout_configurations (name, firmware_version) VALUES ('r', '1.1.0')`);
  await system.runtime.tick();
  ({ url: link } = await command);
});
afterAll(async () => {
  device?.end(true);
  await system?.close();
});

async function connect(deviceId: string): Promise<MqttClient> {
  const { mqtt: broker } = system.runtime.endpoints;
  const { certificateFile, privateKeyFile } = await system.runtime.addDevice(deviceId);
  return mqtt.connectAsync({
    ...{ protocol: 'mqtts', host: broker.host, port: broker.port, clientId: deviceId, reconnectPeriod: 0 },
    ...{ ca: readFileSync(broker.caFile), cert: readFileSync(certificateFile), key: readFileSync(privateKeyFile) },
  });
}

const publish = (family: string, topic: string, message: object) =>
  device.publishAsync(`paku/${family}/${VAN}/${topic}`, JSON.stringify(message), { qos: 1 });

/** An unsigned call of the front door. */
async function call(path: string, init: RequestInit = {}) {
  const url = new URL(path, system.runtime.endpoints.api.url);
  const response = await fetch(url, { redirect: 'manual', ...init });
  const { status, headers } = response;
  const { date: _, ...said } = Object.fromEntries(headers);
  const answer = { status, headers: said, body: await response.text() };
  if (status !== 302) answers.push(JSON.stringify(answer));
  return answer;
}

test('every invalid link gets the same answer, whatever is wrong with it', async () => {
  const token = new URL(link).pathname.slice('/d/'.length);
  const flipped = (at: number) => {
    const bytes = Buffer.from(token, 'base64url');
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes.toString('base64url');
  };
  const made = ['A'.repeat(24), randomBytes(18).toString('base64url'), ...[0, 4, 5, 6, 7, 8, 17].map(flipped)];
  const [, linkSecret = ''] = storedSecrets().find(([name]) => name.includes('LinkSecret')) ?? [];
  const neverSent = linkToken({ updateId: 999_999, attempt: 1 }, new Date(), linkSecret);
  const odd = ['x', token.slice(1), `${token}A`, token.toLowerCase(), '%00', `${token}%20`, "'--"];
  const first = await call(`/d/${made[0]}`);
  expect(first).toMatchObject({ status: 404, body: 'no such link\n' });
  for (const wrong of [...made, neverSent, ...odd]) {
    expect(await call(`/d/${wrong}`), wrong).toEqual(first);
  }
});

test('a link that is days old is over, and the database is not asked', async () => {
  const [, linkSecret = ''] = storedSecrets().find(([name]) => name.includes('LinkSecret')) ?? [];
  const linkSentDaysAgo = (days: number) =>
    linkToken({ updateId: 1, attempt: 1 }, new Date(Date.now() - days * 86_400_000), linkSecret);
  expect(await call(`/d/${linkSentDaysAgo(1)}`)).toMatchObject({ status: 302 });
  // The update is still open, so the answer does not come from the database.
  expect(await call(`/d/${linkSentDaysAgo(7)}`)).toMatchObject({ status: 410, body: 'this update is over\n' });
});

test('every answer to a link forbids caching', async () => {
  const good = await call(link);
  expect(good).toMatchObject({ status: 302, headers: { 'cache-control': 'no-store' } });
  expect((await call('/d/AAAAAAAAAAAAAAAAAAAAAAAA')).headers['cache-control']).toBe('no-store');
});

test('every answer of the operator API forbids caching, including errors', async () => {
  const { api, region, s3 } = system.runtime.endpoints;
  const signed = signedFetch(region, s3);
  const calls: [string, string, string?][] = [
    ['GET', '/v1/info'],
    ['GET', '/v1/devices/nobody'],
    ['GET', '/v1/nothing-is-here'],
    ['GET', '/v1/devices?limit=x'],
    ['POST', '/v1/rollouts', '{}'],
    ['POST', '/v1/rollouts', '{'],
  ];
  for (const [method, path, body] of calls) {
    const headers = { 'content-type': 'application/json' };
    const response = await signed(api.url + path, { method, headers, ...(body === undefined ? {} : { body }) });
    answers.push(JSON.stringify([...response.headers, await response.text()]));
    expect(response.headers.get('cache-control'), `${method} ${path}`).toBe('no-store');
  }
});

test('the operator API refuses unsigned requests on every path and with every method', async () => {
  for (const path of ['/v1/info', '/v1/devices', '/v1/rollouts/1/pause', '/v1/anything', '/v1/..%2fd', '/v1//x']) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      expect(await call(path, { method }), `${method} ${path}`).toMatchObject({
        status: 403,
        body: '{"message":"Forbidden"}',
      });
    }
  }
  for (const path of ['/', '/d/', '/v1', '/v2/info', '/d/x/y']) expect((await call(path)).status, path).toBe(404);
});

test('the operator API refuses a signed path that has another spelling, before it routes it', async () => {
  const { api, region, s3 } = system.runtime.endpoints;
  const signed = signedFetch(region, s3);
  const paths = [
    '/v1/uploads/..%2fdevices',
    '/v1//devices',
    '/v1/devices/',
    '/v1/devices/a%2520b',
    '/v1/devices/x%20y',
  ];
  for (const path of paths) {
    const response = await signed(api.url + path, { method: 'GET', headers: {} });
    expect([path, response.status]).toEqual([path, 400]);
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('canonical form') });
  }
});

test('the log of the operator API contains the caller and the path', async () => {
  const { api, region, s3 } = system.runtime.endpoints;
  const client = new ApiClient(api.url, signedFetch(region, s3));
  await client.setGroups(VAN, ['vans']);
  const logLine = () =>
    readFileSync(join(system.home, 'logs', 'OperatorApi.log'), 'utf8')
      .split('\n')
      .find((line) => line.includes('"method":"PUT"'));
  // A function can log after its answer.
  await expect.poll(logLine).toBeDefined();
  const line = logLine() ?? '';
  expect(JSON.parse(line.slice(line.indexOf('{')))).toMatchObject({
    caller: 'arn:aws:iam::000000000000:user/operator',
    path: `/v1/devices/${VAN}/groups`,
  });
});

test('the pre-provisioning hook accepts only devices on the list of allowed devices', async () => {
  const { api, region, s3 } = system.runtime.endpoints;
  const client = new ApiClient(api.url, signedFetch(region, s3));
  await client.changeAllowedDevices({ add: ['ESP32-NEW'] });
  const ask = (id: string) =>
    system.runtime.askProvisioningHook({
      claimCertificateId: 'a-claim',
      certificateId: 'a-certificate',
      clientId: `claim/${id}`,
      parameters: { DeviceId: id },
    });
  expect([await ask('ESP32-NEW'), await ask('ESP32-OTHER')]).toEqual([
    { allowProvisioning: true },
    { allowProvisioning: false },
  ]);
  expect((await client.allowedDevices()).items).toMatchObject([
    { device_id: 'ESP32-NEW', allowed_by: 'arn:aws:iam::000000000000:user/operator' },
  ]);
});

test('no secret is in logs, metrics, errors, templates, outputs or the database', async () => {
  const canary = `canary${randomBytes(16).toString('hex')}`;
  const signature = `Credential=AKIA/x/y/execute-api/aws4_request, SignedHeaders=host, Signature=${canary}`;
  await call('/v1/info', { headers: { authorization: `AWS4-HMAC-SHA256 ${signature}` } });
  await call(`/v1/info?X-Amz-Signature=${canary}&X-Amz-Security-Token=${canary}`);
  await call(`/d/${canary.slice(0, 24)}?token=${canary}`, { headers: { cookie: canary, authorization: canary } });
  const redirect = await call(link);
  const location = new URL(redirect.headers.location ?? '');
  expect(Buffer.from(await (await fetch(location)).arrayBuffer()).equals(IMAGE)).toBe(true);
  const { api, region, s3 } = system.runtime.endpoints;
  const sign = vi.spyOn(globalThis, 'fetch');
  await signedFetch(region, s3)(`${api.url}/v1/info`, { method: 'GET', headers: {} });
  const signed = new Headers(sign.mock.lastCall?.[1]?.headers).get('authorization') ?? '';
  // Invalid messages make functions log.
  await publish('devices', 'ota/result', { version: '1.1.0', success: false, result_code: 99 });
  await device.publishAsync(`paku/devices/${VAN}/ota/status`, Buffer.from([0xff, 0]), { qos: 1 });
  await system.runtime.tick();
  await system.runtime.idle();

  const secrets = new Map<string, string>([
    ['a value that a caller sent', canary.slice(0, 24)],
    ['the signature of an operator', signed.split('Signature=')[1] ?? ''],
    ['the token of the link', new URL(link).pathname.slice('/d/'.length)],
    ['the signature of the presigned URL', location.searchParams.get('X-Amz-Signature') ?? ''],
    [
      'the session token of a role',
      encodeURIComponent(location.searchParams.get('X-Amz-Security-Token') ?? '').slice(0, 60),
    ],
    ['the decoded session token of a role', (location.searchParams.get('X-Amz-Security-Token') ?? '').slice(0, 60)],
    ...storedSecrets(),
    ...privateKeys(join(system.home, 'certificates')),
  ]);
  expect(secrets.size).toBeGreaterThanOrEqual(12);
  for (const [what, secret] of secrets) expect(secret.length, what).toBeGreaterThanOrEqual(20);
  for (const [where, text] of await everythingWritten()) {
    for (const [what, secret] of secrets) expect(text.includes(secret), `${what} is in ${where}`).toBe(false);
  }
});

/** The generated secrets of this machine: passwords, the link secret, and the key of the operator. */
function storedSecrets(): [string, string][] {
  const found: [string, string][] = [];
  const look = (name: string, value: unknown): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) look(`${name} ${key}`, inner);
    } else if (typeof value === 'string' && value.startsWith('{')) look(name, JSON.parse(value));
    else if (typeof value === 'string' && !/arn|username|accessKeyId/i.test(name.split(' ').at(-1) ?? '')) {
      found.push([`the secret${name}`, value]);
    }
  };
  look('', JSON.parse(readFileSync(join(system.home, 'secrets.json'), 'utf8')));
  return found;
}

function privateKeys(folder: string): [string, string][] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /key\.pem$/.test(file))
    .map((file) => [`the key ${file}`, readFileSync(join(folder, file), 'utf8').split('\n')[1] ?? '']);
}

/** Everything that people can read who may not read the secrets. */
async function everythingWritten(): Promise<[string, string][]> {
  const files = (folder: string, ending: string) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith(ending) && statSync(join(folder, file)).isFile())
      .map((file): [string, string] => [file, readFileSync(join(folder, file), 'utf8')]);
  const tables = await system.database.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`,
  );
  const rows = await Promise.all(
    tables.map(async ({ name }) => system.database.query(`SELECT to_jsonb(t) AS row FROM ${name} AS t LIMIT 500`)),
  );
  const logs = files(join(system.home, 'logs'), '.log');
  expect(logs.filter(([, text]) => text.length > 0).length).toBeGreaterThanOrEqual(6);
  return [
    ...logs,
    ...files(ASSEMBLY, '.json').filter(([file]) => !file.includes('asset.')),
    ['the answers of the front door', answers.join('\n')],
    ['the log of the runtime', `log: ${system.log.join('\n')}`],
    ['the database', JSON.stringify(rows)],
  ];
}
