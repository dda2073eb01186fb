import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../fleet/random.ts';
import { startRuntime } from '../../local/runtime/index.ts';
import { synthesize } from '../../local/start/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';
import { interceptorsOf } from '../../test/support/faults.ts';
import { findExceeded, findLost } from '../../test/support/losses.ts';
import { NEVER_IDLE } from '../../test/support/system.ts';
import type { TypedDatabase } from '../../test/support/test-sql.ts';
import { openDatabase, Releases, ScriptedDevice, startFleet } from './load.ts';
import { Probe, plot, quantile, type Sample } from './measure.ts';
import { RandomFaults } from './random-faults.ts';
import { findHeldUp, playStorm, type Storm } from './storm.ts';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const USAGE = `npm run soak -- [options]
The whole system on this machine with a fleet, small rollouts without end and random faults, in real time.

  --minutes N   how long (60)
  --devices N   virtual devices, which report every 15 s (500)
  --faults S    share of calls, queue messages and rules that meet a fault (0.01)
  --storm       instead of faults: a reconnect storm, a flood of one device, ten times the normal rate;
                ends with 1 where others were held up, or nothing was as before within a minute
  --seed N      of the faults (1)
  --out F       folder for soak.json and soak.svg (soak)

DATABASE_URL names a PostgreSQL server to use instead of PGlite; its database must be empty.`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    storm: { type: 'boolean', default: false },
    minutes: { ...text, default: '60' },
    devices: { ...text, default: '500' },
    faults: { ...text, default: '0.01' },
    seed: { ...text, default: '1' },
    out: { ...text, default: 'soak' },
  },
});

function readNumber(name: 'minutes' | 'devices' | 'faults' | 'seed'): number {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value < 0)
    throw new Error(`--${name} ${values[name]}: expected a number of 0 or more`);
  return value;
}

const TICK_SECONDS = 5;
const LOOK_MS = 5_000;
/** Longer than all attempts of a device with their deadlines. */
const DRAIN_MINUTES = 20;

/** Starts new rollouts for some minutes, then waits until all have ended. @returns problems found meanwhile */
async function work(releases: Releases, database: TypedDatabase, minutes: number): Promise<string[]> {
  const wrong: string[] = [];
  const ends = Date.now() + minutes * 60_000;
  const look = async () => {
    for (const found of await findExceeded(database)) wrong.push(`limit exceeded: ${JSON.stringify(found)}`);
  };
  while (Date.now() < ends) {
    await releases.next();
    await look();
    await delay(LOOK_MS);
  }
  return wrong;
}

async function untilRolloutsEnded(database: TypedDatabase): Promise<string[]> {
  const ends = Date.now() + DRAIN_MINUTES * 60_000;
  for (;;) {
    const open = await database.query<{ name: string }>(
      'SELECT name FROM rollout_configurations WHERE completed_at IS NULL ORDER BY name',
    );
    if (open.length === 0) return [];
    if (Date.now() > ends) return open.map(({ name }) => `${name} has not ended ${DRAIN_MINUTES} minutes later`);
    await delay(LOOK_MS);
  }
}

/** Devices that do not run the version of their newest update, and whose update has no reason. */
const findUnexplained = (database: TypedDatabase) =>
  database.query<{ device_id: string }>(
    `SELECT d.device_id, u.status, u.error_message FROM devices AS d
     JOIN LATERAL (
       SELECT status, error_message, firmware_version, completed_at FROM device_update_status
       WHERE device_id = d.device_id AND rollout_id IS NOT NULL ORDER BY id DESC LIMIT 1) AS u ON true
     WHERE u.completed_at IS NULL
       OR u.firmware_version <> d.current_firmware_version AND u.error_message IS NULL`,
  );

function summarize(samples: readonly Sample[]) {
  const latencies = samples.flatMap(({ latencyMs }) => latencyMs ?? []);
  const memory = samples.map(({ megabytes }) => megabytes);
  const late = Math.floor(memory.length / 2);
  return {
    latencyMs: {
      median: quantile(latencies, 0.5),
      p95: quantile(latencies, 0.95),
      most: quantile(latencies, 1),
      unanswered: samples.length - latencies.length,
    },
    megabytes: {
      most: Math.max(...memory),
      firstHalf: quantile(memory.slice(0, late), 0.5),
      secondHalf: quantile(memory.slice(late), 0.5),
    },
  };
}

/** Memory limit of the process, which contains the system, the fleet and the record of messages. */
const MAX_MEGABYTES = 1_536;

async function main(): Promise<void> {
  const [minutes, devices] = [readNumber('minutes'), readNumber('devices')];
  await synthesize(ASSEMBLY);
  const home = mkdtempSync(join(tmpdir(), 'paku-ota-soak-'));
  const faults = new RandomFaults(0, seededRandom(readNumber('seed')));
  const runtime = await startRuntime({
    assembly: ASSEMBLY,
    home,
    databaseUrl: process.env.DATABASE_URL,
    ports: { mqtt: 0, aws: 0, api: 0 },
    tickSeconds: TICK_SECONDS,
    variables: NEVER_IDLE,
    interceptors: interceptorsOf(faults),
  });
  const database = openDatabase(runtime, home);
  const fleet = await startFleet(runtime, devices);
  const releases = new Releases(runtime, database);
  const voice = await ScriptedDevice.open(runtime, 'probe');
  const probe = new Probe(voice, database);
  faults.share = values.storm ? 0 : readNumber('faults');
  console.log(`${devices} devices, ${values.storm ? 'a storm' : `${minutes} minutes`}, ${faults.share} of calls fail`);

  let storm: Storm | undefined;
  const wrong: string[] = [];
  if (values.storm) {
    storm = await playStorm({ runtime, database, fleet, probe });
    wrong.push(...findHeldUp(storm));
  } else wrong.push(...(await work(releases, database, minutes)));
  faults.share = 0;
  wrong.push(...(await untilRolloutsEnded(database)));
  await probe.end();
  await runtime.idle();
  for (const found of await findUnexplained(database)) wrong.push(`no reason: ${JSON.stringify(found)}`);
  const queued = faults.queued.filter(({ topic }) => !topic.includes('/flood/'));
  for (const found of await findLost(database, queued)) wrong.push(`lost: ${JSON.stringify(found)}`);
  const outcomes = await database.query(
    'SELECT status, count(*)::integer AS updates FROM device_update_status GROUP BY 1 ORDER BY 1',
  );
  const { megabytes, ...latencies } = summarize(probe.samples);
  if (megabytes.most > MAX_MEGABYTES) wrong.push(`the process grew to ${megabytes.most} MB`);
  const result = {
    devices,
    minutes: Math.round(probe.second / 60),
    database: process.env.DATABASE_URL === undefined ? 'PGlite' : 'PostgreSQL',
    rollouts: releases.rollouts,
    outcomes,
    messages: faults.queued.length,
    faults: faults.injected,
    ...latencies,
    megabytes,
    storm,
    wrong,
  };
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'soak.json'), `${JSON.stringify({ ...result, samples: probe.samples }, null, 1)}\n`);
  const title = `${devices} devices, ${result.database}, ${result.messages} messages`;
  writeFileSync(join(values.out, 'soak.svg'), plot(probe.samples, title));
  console.log(JSON.stringify(result, null, 2));
  await Promise.all([voice.close(), ...fleet.map((device) => device.stop())]);
  await runtime.close();
  rmSync(home, { recursive: true, force: true });
  if (wrong.length > 0) process.exitCode = 1;
}

if (values.help) console.log(USAGE);
else await main();
