import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import mqtt from 'mqtt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalRuntime, type RuntimeOptions, startRuntime } from '../../../local/runtime/runtime.ts';
import { smallAssembly } from '../../support/local/small-assembly.ts';

const FREE_PORTS = { mqtt: 0, aws: 0, api: 0 };

let home: string;
let runtimes: LocalRuntime[];
let log: string[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'paku-home-'));
  runtimes = [];
  log = [];
});

afterEach(async () => {
  for (const runtime of runtimes) await runtime.close();
  await rm(home, { recursive: true });
});

async function start(assembly: string, overrides: Partial<RuntimeOptions> = {}): Promise<LocalRuntime> {
  const runtime = await startRuntime({
    assembly,
    home,
    ports: FREE_PORTS,
    log: (line) => log.push(line),
    ...overrides,
  });
  runtimes.push(runtime);
  return runtime;
}

/** The log lines of the functions. */
const output = (runtime: LocalRuntime) =>
  runtime.close().then(async () => {
    const files = await readdir(join(home, 'logs'));
    const texts = await Promise.all(files.map((file) => readFile(join(home, 'logs', file), 'utf8')));
    return texts.join('');
  });

describe('the local runtime', () => {
  it('boots the rules, queues, events, schedules and routes of the templates', async () => {
    const runtime = await start(await smallAssembly());
    const { mqtt: broker, s3: bucket, api, region } = runtime.endpoints;

    const { certificateFile, privateKeyFile } = await runtime.addDevice('van-1');
    const device = await mqtt.connectAsync({
      protocol: 'mqtts',
      host: broker.host,
      port: broker.port,
      ca: await readFile(broker.caFile),
      cert: await readFile(certificateFile),
      key: await readFile(privateKeyFile),
      clientId: 'van-1',
    });
    await device.publishAsync('paku/edge/van-1/status', 'hello', { qos: 1 });
    const s3 = new S3Client({ region, endpoint: bucket.endpoint, credentials: bucket });
    await s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: 'firmware/1.bin', Body: 'x' }));
    await runtime.tick();
    expect(await (await fetch(`${api.url}/d/sesame`)).text()).toBe('you said sesame');
    await runtime.idle();
    await device.endAsync();

    const lines = await output(runtime);
    expect(lines).toContain(`"topic":"paku/edge/van-1/status"`);
    expect(lines).toContain(`"key":"firmware/1.bin"`);
    expect(lines).toContain('ticked');
    expect(lines).toContain('made Migration');
    expect(log).toEqual([]);
  });

  it('has its addresses in endpoints.json, which only its owner may read, while it runs', async () => {
    const runtime = await start(await smallAssembly());
    const file = join(home, 'endpoints.json');
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(runtime.endpoints);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await runtime.close();
    expect([existsSync(file), existsSync(join(home, 'lock'))]).toEqual([false, false]);
  });

  it('keeps keys, certificates and queued messages after a restart', async () => {
    const assembly = await smallAssembly({ work: "export const handler = () => { throw new Error('not now') }" });
    const first = await start(assembly);
    const { certificateFile } = await first.addDevice('van-1');
    const certificate = await readFile(certificateFile, 'utf8');
    const { s3: bucket, region } = first.endpoints;
    const s3 = new S3Client({ region, endpoint: bucket.endpoint, credentials: bucket });
    await s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: 'kept.bin', Body: 'x' }));
    await first.idle();
    await first.close();
    expect(log.join()).toContain('not now');

    const second = await start(await smallAssembly());
    await second.idle();
    expect(second.endpoints.s3.secretAccessKey).toBe(bucket.secretAccessKey);
    expect(await readFile((await second.addDevice('van-1')).certificateFile, 'utf8')).toBe(certificate);
    expect(await output(second)).toContain('"key":"kept.bin"');
  });

  it('reports errors of functions, and a tick throws them', async () => {
    const runtime = await start(
      await smallAssembly({ tick: "export const handler = () => { throw new Error('stuck') }" }),
    );
    await expect(runtime.tick()).rejects.toThrow('Tick: stuck');
  });
});

describe('the local runtime does not start', () => {
  it('in a folder that another process uses, and names the process', async () => {
    await start(await smallAssembly());
    await writeFile(join(home, 'lock'), String(process.ppid));
    await expect(start(await smallAssembly())).rejects.toThrow(`in use by process ${process.ppid}`);
  });

  it('except that it replaces the lock of a process that has ended', async () => {
    await writeFile(join(home, 'lock'), '2147483646');
    expect((await start(await smallAssembly())).endpoints.region).toBe('eu-west-1');
  });

  it('on a port that is in use, and names the port and a remedy', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const port = (server.address() as { port: number }).port;
    const starting = start(await smallAssembly(), { ports: { ...FREE_PORTS, mqtt: port } });
    await expect(starting).rejects.toThrow(new RegExp(`Port ${port} \\(MQTT\\).*--ports`));
    server.close();
    expect(existsSync(join(home, 'lock'))).toBe(false);
  });

  it.each(['0.0.0.0', 'localhost'])('on the host %s, which cannot be part of links and bucket URLs', async (host) => {
    await expect(start(await smallAssembly(), { host })).rejects.toThrow('expected the IPv4 address');
    expect(existsSync(join(home, 'lock'))).toBe(false);
  });

  it('if the migration fails, and gives the reason', async () => {
    const assembly = await smallAssembly({
      migrate: "export const handler = () => { throw new Error('no such role') }",
    });
    await expect(start(assembly)).rejects.toThrow(/Migration \(Custom::Sample\) could not be made: .*no such role/);
  });

  it.each([
    ['a topic rule', 'sqs:SendMessage', 'Rule: its role'],
    ['an event source mapping', 'sqs:ReceiveMessage', 'Mapping: its role'],
    ['a schedule', 'lambda:InvokeFunction', 'Schedule: its role'],
  ])('if the role of %s lacks a grant', async (_, action, message) => {
    const starting = start(await smallAssembly({}, [action]));
    await expect(starting).rejects.toThrow(message);
    await expect(starting).rejects.toThrow(action);
  });
});
