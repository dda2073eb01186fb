import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataApiDatabase } from '../../../core/db/index.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import { VirtualDevice } from '../../../fleet/virtual-device.ts';
import type { Endpoints } from '../../../local/home/index.ts';
import { CertificateAuthority } from '../../../local/kernel/index.ts';
import { freePorts } from '../../support/free-ports.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { addRollout } from '../../support/rows.ts';
import { ownerSecretIn } from '../../support/system.ts';
import { type TypedDatabase, typed } from '../../support/test-sql.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** In real time, because a test cannot move the clock of another process. */
const WAIT_MS = 120_000;
const DEVICES = ['k-0', 'k-1', 'k-2', 'k-3', 'k-4', 'k-5'];

/** `npm start -- --empty` in a separate process, always with the same ports and home. */
class Start {
  readonly home = mkdtempSync(join(tmpdir(), 'paku-ota-killed-'));
  #ports = '';
  #server: Awaited<ReturnType<typeof ownDatabase>>;
  #process: ChildProcess | undefined;
  #output = '';

  async prepare(): Promise<void> {
    this.#ports = (await freePorts(4)).join(',');
    this.#server = await ownDatabase();
  }

  async up(): Promise<Endpoints> {
    const args = ['--import', 'tsx', 'local/start/main.ts', '--empty', '--tick', '1s', '--ports', this.#ports];
    // Never the database that whoever runs the tests has named for npm start.
    const env = { ...process.env, PAKU_OTA_HOME: this.home, DATABASE_URL: this.#server?.url };
    const child = spawn(process.execPath, args, { cwd: ROOT, env });
    child.stdout.on('data', (text: Buffer) => this.#hear(text));
    child.stderr.on('data', (text: Buffer) => this.#hear(text));
    this.#process = child;
    const file = join(this.home, 'endpoints.json');
    for (let polls = 0; !existsSync(file); polls++) {
      if (child.exitCode !== null || polls > 600) throw new Error(`it did not start:\n${this.#output}`);
      await delay(100);
    }
    return JSON.parse(readFileSync(file, 'utf8')) as Endpoints;
  }

  /** Kills the process. Unlike in a crash of the machine, buffered writes reach the disk. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    rmSync(join(this.home, 'endpoints.json'), { force: true });
  }

  async close(): Promise<void> {
    await this.kill();
    await this.#server?.drop();
    rmSync(this.home, { recursive: true, force: true });
  }

  #hear(text: Buffer): void {
    this.#output = (this.#output + text.toString()).slice(-4_000);
  }
}

const start = new Start();
const devices: VirtualDevice[] = [];
let database: TypedDatabase;
let endpoints: Endpoints;

async function boot(): Promise<void> {
  endpoints = await start.up();
  const { region, dataApi } = endpoints;
  const client = new RDSDataClient({ region, endpoint: dataApi.endpoint, credentials: dataApi, maxAttempts: 1 });
  database = typed(dataApiDatabase(client, { ...dataApi, secretArn: ownerSecretIn(start.home) }));
}

async function switchOn(deviceId: string): Promise<void> {
  const authority = await CertificateAuthority.open(join(start.home, 'certificates'));
  const { certificateFile, privateKeyFile } = await authority.addDevice(deviceId);
  const { host, port, caFile } = endpoints.mqtt;
  const read = (file: string) => readFileSync(file, 'utf8');
  const device = new VirtualDevice({
    deviceId,
    model: 'esp32-s3',
    firmwareVersion: '1.0.0',
    mac: 'A0:B7:65:20:E9:55',
    chip: 'ESP32-S3',
    topicFamily: 'devices',
    statusForm: 'seed',
    heartbeatSeconds: 2,
    keepaliveSeconds: 60,
    connection: { host, port, ca: read(caFile), cert: read(certificateFile), key: read(privateKeyFile) },
    behaviours: { slowRebootSeconds: 0.2, bytesPerSecond: 20_000 },
  });
  devices.push(device);
  device.start();
}

async function until(sql: string, meanwhile = 'SELECT 1'): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (Date.now() < deadline) {
    await database.query(meanwhile);
    const [row] = await database.query<{ done: boolean }>(`SELECT (${sql}) AS done`);
    if (row?.done) return;
    await delay(100);
  }
  throw new Error(`not in time: ${sql}\n${JSON.stringify(await updates())}`);
}

const updates = () =>
  database.query<{ status: string; version: string; reason: string | null }>(
    `SELECT u.status, d.current_firmware_version AS version, u.error_message AS reason
     FROM device_update_status AS u JOIN devices AS d USING (device_id) ORDER BY device_id`,
  );

beforeAll(async () => {
  await start.prepare();
  await boot();
});
afterAll(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  await start.close();
});

/** Runs only with PAKU_OTA_LONG=1, because it takes half a minute on an idle machine. */
const long = test.runIf(process.env.PAKU_OTA_LONG === '1');

long(
  'after kills of npm start during an upload and during a rollout, every device runs its target or has a reason',
  {
    timeout: 600_000,
  },
  async () => {
    for (const deviceId of DEVICES) await switchOn(deviceId);
    await until(`SELECT count(*) = ${DEVICES.length} FROM devices`);
    const { region, s3 } = endpoints;
    const store = new S3Client({ region, endpoint: s3.endpoint, credentials: s3 });
    const image = buildImage({ version: '1.1.0', project: 'esp32-s3', codeBytes: 40_000 });
    await store.send(new PutObjectCommand({ Bucket: s3.bucket, Key: 'firmware/1.1.0/esp32-s3.bin', Body: image }));
    await start.kill();

    await boot();
    await until(`SELECT count(*) = 1 FROM firmware_releases`);
    await addRollout(database, 'r', '1.1.0', {
      stages: [],
      max_in_flight: 3,
      max_attempts: 1,
      attempt_timeout_minutes: 1,
      boot_timeout_minutes: 1,
      probation_minutes: 0,
      failure_threshold: 1,
    });
    await until(`SELECT count(*) > 0 FROM device_update_status WHERE status IN ('downloading', 'downloaded')`);
    await start.kill();

    await boot();
    // Interrupted updates end at their deadline, which the query moves forward. The other devices get their commands.
    await until(
      `SELECT count(*) FILTER (WHERE completed_at IS NOT NULL) = ${DEVICES.length} FROM device_update_status`,
      `UPDATE device_update_status SET deadline_at = now() WHERE completed_at IS NULL AND sent_at < now() - interval '10 seconds'`,
    );
    const ended = await updates();
    expect(ended).toHaveLength(DEVICES.length);
    for (const { status, version, reason } of ended) {
      expect(['success', 'timed_out', 'failed']).toContain(status);
      if (status === 'success') expect(version).toBe('1.1.0');
      else expect(reason).toEqual(expect.any(String));
    }
    expect(ended.filter(({ status }) => status === 'success').length).toBeGreaterThanOrEqual(3);
  },
);
