import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { buildImage } from '../../fleet/build-image.ts';
import { type LocalRuntime, startRuntime } from '../../local/runtime/index.ts';
import { synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';
import { ownDatabase } from '../../test/support/own-database.ts';
import { addRollout } from '../../test/support/rows.ts';
import { NEVER_IDLE } from '../../test/support/system.ts';
import type { TestSql } from '../../test/support/test-sql.ts';
import { openDatabase } from '../soak/load.ts';
import type { FleetNews, FleetPlan } from './fleet-process.ts';

const DEVICES = 10_000;
const FLEET_PROCESSES = 2;
const TICK_SECONDS = 5;
const VERSION = '2.0.0';
const CODE_BYTES = 200_000;
const LOOK_MS = 1_000;
const PATIENCE_MINUTES = 30;
const CERTIFICATES_AT_ONCE = 50;

export interface Phase {
  readonly phase: string;
  readonly medianSeconds: number;
  readonly p95Seconds: number;
}

export interface OverSockets {
  readonly devices: number;
  readonly imageBytes: number;
  /** From the first connection to the last row of `devices`. */
  readonly registeringSeconds: number;
  /** From the insert of the rollout to the last proven update. */
  readonly seconds: number;
  readonly devicesAMinute: number;
  readonly secondAttempts: number;
  readonly failed: number;
  readonly refusedConnections: number;
  readonly phases: readonly Phase[];
  /** Processor seconds during the rollout. */
  readonly cpu: { readonly runtime: number; readonly fleet: number; readonly others: number; readonly idle: number };
}

/** A rollout to devices with MQTT connections over TLS that download their images. */
export async function rolloutOverSockets(log: (line: string) => void): Promise<OverSockets> {
  requireDescriptors(DEVICES);
  const server = await ownDatabase();
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: expected the URL of a PostgreSQL server');
  await synthesize(ASSEMBLY);
  const home = mkdtempSync(join(tmpdir(), 'paku-ota-bench-'));
  const runtime = await startRuntime({
    assembly: ASSEMBLY,
    home,
    databaseUrl: server.url,
    ports: { mqtt: 0, aws: 0, api: 0 },
    tickSeconds: TICK_SECONDS,
    variables: NEVER_IDLE,
  });
  let fleet: FleetProcesses | undefined;
  try {
    const plans = await planFleet(runtime);
    log(`${DEVICES} certificates`);
    const sql = openDatabase(runtime, home);
    const began = performance.now();
    fleet = new FleetProcesses(plans);
    await until('devices are registered', async () => {
      const [row] = await sql.query<{ devices: number }>('SELECT count(*)::integer AS devices FROM devices');
      return row?.devices === DEVICES;
    });
    const registeringSeconds = (performance.now() - began) / 1000;
    log(`registered after ${Math.round(registeringSeconds)} s`);
    const imageBytes = await release(runtime, sql);
    return { ...(await measure(sql, fleet, log)), registeringSeconds, imageBytes };
  } finally {
    await fleet?.end();
    await runtime.close();
    await server.drop();
    rmSync(home, { recursive: true, force: true });
  }
}

/**
 * Checks the limit of open files: one socket per device, and one more during a download.
 * @throws Error if it is too low
 */
function requireDescriptors(devices: number): void {
  const report = process.report.getReport() as unknown as { userLimits: { open_files: { soft: number | string } } };
  const { soft } = report.userLimits.open_files;
  const needed = Math.round(devices * 1.5 + 1_000);
  if (soft !== 'unlimited' && Number(soft) < needed) {
    throw new Error(`this process may open ${soft} files, expected at least ${needed}: ulimit -n ${needed}`);
  }
}

async function planFleet(runtime: LocalRuntime): Promise<FleetPlan[]> {
  const { host, port, caFile } = runtime.endpoints.mqtt;
  const ids = Array.from({ length: DEVICES }, (_, n) => `bench-${n}`);
  const devices: FleetPlan['devices'][number][] = [];
  for (let n = 0; n < ids.length; n += CERTIFICATES_AT_ONCE) {
    const some = ids.slice(n, n + CERTIFICATES_AT_ONCE);
    devices.push(
      ...(await Promise.all(some.map(async (deviceId) => ({ deviceId, ...(await runtime.addDevice(deviceId)) })))),
    );
  }
  return Array.from({ length: FLEET_PROCESSES }, (_, part) => ({
    host,
    port,
    caFile,
    devices: devices.filter((_, n) => n % FLEET_PROCESSES === part),
  }));
}

/** The fleet in separate processes, so that it shares only the machine with the measured process. */
class FleetProcesses {
  readonly #children: ChildProcess[];
  readonly #news = new Map<ChildProcess, FleetNews>();

  constructor(plans: readonly FleetPlan[]) {
    const program = fileURLToPath(new URL('fleet-process.ts', import.meta.url));
    this.#children = plans.map((plan) => {
      const child = fork(program, { execArgv: ['--import', 'tsx'] });
      child.on('message', (news: FleetNews) => this.#news.set(child, news));
      child.send(plan);
      return child;
    });
  }

  sum(of: keyof FleetNews): number {
    return [...this.#news.values()].reduce((sum, news) => sum + news[of], 0);
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#children.map((child) => {
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.disconnect();
        return gone;
      }),
    );
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const ends = performance.now() + PATIENCE_MINUTES * 60_000;
  while (!(await isSo())) {
    if (performance.now() > ends) throw new Error(`${PATIENCE_MINUTES} minutes, and not yet: ${what}`);
    await delay(LOOK_MS);
  }
}

/** @returns the size of the image */
async function release({ endpoints: { region, s3 } }: LocalRuntime, sql: TestSql): Promise<number> {
  const client = new S3Client({ region, endpoint: s3.endpoint, credentials: s3 });
  const image = buildImage({ version: VERSION, project: 'bench', codeBytes: CODE_BYTES });
  await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key: `firmware/${VERSION}/esp32-s3.bin`, Body: image }));
  await until('the release is registered', async () => (await sql.query('SELECT 1 FROM firmware_releases')).length > 0);
  return image.length;
}

async function measure(sql: TestSql, fleet: FleetProcesses, log: (line: string) => void) {
  const cpuBefore = cpuSeconds(fleet);
  const began = performance.now();
  await addRollout(sql, 'everyone', VERSION, { stages: [], probation_minutes: 0, failure_threshold: 1 });
  await until('every update has ended', async () => {
    const rows = await sql.query<{ state: string; updates: number }>(
      'SELECT state, sum(updates)::integer AS updates FROM update_counts GROUP BY state HAVING sum(updates) > 0',
    );
    const states = new Map(rows.map(({ state, updates }) => [state, updates]));
    log(`${Math.round((performance.now() - began) / 1000)} s: ${JSON.stringify(Object.fromEntries(states))}`);
    const ended = ['success', 'failed', 'rolled_back', 'timed_out'].map((state) => states.get(state) ?? 0);
    return ended.reduce((sum, updates) => sum + updates, 0) === DEVICES;
  });
  const seconds = (performance.now() - began) / 1000;
  const cpuAfter = cpuSeconds(fleet);
  const [row] = await sql.query<{ again: number; failed: number }>(
    `SELECT (count(*) FILTER (WHERE attempt > 1))::integer AS again, (count(*) FILTER (WHERE status <> 'success'))::integer AS failed
     FROM device_update_status`,
  );
  return {
    devices: DEVICES,
    seconds,
    devicesAMinute: (DEVICES / seconds) * 60,
    secondAttempts: row?.again ?? 0,
    failed: row?.failed ?? 0,
    refusedConnections: fleet.sum('refused'),
    phases: await readPhases(sql),
    cpu: {
      runtime: cpuAfter.runtime - cpuBefore.runtime,
      fleet: cpuAfter.fleet - cpuBefore.fleet,
      others:
        cpuAfter.busy - cpuBefore.busy - (cpuAfter.runtime - cpuBefore.runtime) - (cpuAfter.fleet - cpuBefore.fleet),
      idle: cpuAfter.idle - cpuBefore.idle,
    },
  };
}

/** Processor seconds of this process with its functions, of the fleet, and of the whole machine. */
function cpuSeconds(fleet: FleetProcesses) {
  const { user, system } = process.cpuUsage();
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, time) => sum + time.idle, 0) / 1000;
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0) / 1000;
  return { runtime: (user + system) / 1e6, fleet: fleet.sum('cpuSeconds'), busy: all - idle, idle };
}

/** The phases by the receive times of the broker. */
async function readPhases(sql: TestSql): Promise<Phase[]> {
  const phases: [string, string, string][] = [
    ['assigned, until its command is sent', 'created_at', 'sent_at'],
    ['sent, until it is accepted', 'sent_at', 'acknowledged_at'],
    ['accepted, until the image is written', 'acknowledged_at', 'installed_at'],
    ['written, until the new version reports', 'installed_at', 'booted_at'],
  ];
  const found: Phase[] = [];
  for (const [phase, from, to] of phases) {
    const [row] = await sql.query<{ median: number; p95: number }>(
      `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s)::real AS median, percentile_cont(0.95) WITHIN GROUP (ORDER BY s)::real AS p95
       FROM (SELECT extract(epoch FROM ${to} - ${from}) AS s FROM device_update_status WHERE ${to} IS NOT NULL) AS spans`,
    );
    found.push({ phase, medianSeconds: row?.median ?? Number.NaN, p95Seconds: row?.p95 ?? Number.NaN });
  }
  return found;
}
