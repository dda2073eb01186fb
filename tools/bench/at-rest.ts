import { openDatabaseAt } from '../../test/support/database.ts';
import { MovableClock } from '../../test/support/movable-clock.ts';
import { ownDatabase } from '../../test/support/own-database.ts';
import { type Benchmark, number } from './bench.ts';
import { type FunctionsUnderTest, openFunctions, sqsEvent } from './functions-under-test.ts';

const DEVICES = 100;
/** Time until the service is in idle mode. */
const SETTLE_MINUTES = 15;
const MINUTES = 60;
/** Interval at which environments are replaced, as AWS does at any time. A shorter interval made no difference. */
const RECYCLE_INTERVAL_MINUTES = 15;

interface Figures {
  readonly devices: number;
  readonly messages: number;
  /** Calls per hour, by service. */
  readonly calls: Readonly<Record<string, number>>;
  /** Minutes of the hour with at least one statement. */
  readonly minutesAwake: number;
}

async function run(log: (line: string) => void): Promise<Figures> {
  const server = await ownDatabase();
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: expected the URL of a PostgreSQL server');
  const clock = new MovableClock();
  const functions = await openFunctions(server.url, {}, clock);
  const db = await openDatabaseAt(server.url, false);
  try {
    for (let minute = 0; minute < SETTLE_MINUTES; minute++) await playMinute(functions, clock, minute);
    const before = { ...functions.calls };
    let minutesAwake = 0;
    for (let minute = 0; minute < MINUTES; minute++) {
      const asked = functions.calls['rds-data'] ?? 0;
      await playMinute(functions, clock, SETTLE_MINUTES + minute);
      if ((functions.calls['rds-data'] ?? 0) > asked) minutesAwake++;
    }
    const calls = Object.fromEntries(
      Object.entries(functions.calls).map(([service, count]) => [service, count - (before[service] ?? 0)]),
    );
    log(`${minutesAwake} minutes awake, ${JSON.stringify(calls)}`);
    return { devices: DEVICES, messages: DEVICES * MINUTES, calls, minutesAwake };
  } finally {
    await db.close();
    await functions.close();
    await server.drop();
  }
}

/** Every device reports, in two concurrent environments; then the orchestrator runs. */
async function playMinute(functions: FunctionsUnderTest, clock: MovableClock, minute: number): Promise<void> {
  const ingest = functions.fn('IngestStatus');
  if (minute % RECYCLE_INTERVAL_MINUTES === 0) await Promise.all([ingest.kill(), functions.fn('Orchestrate').kill()]);
  await clock.advance(60);
  const bodies = Array.from({ length: DEVICES }, (_, n) => heartbeat(n, minute, clock.now()));
  const half = DEVICES / 2;
  await Promise.all([bodies.slice(0, half), bodies.slice(half)].map((batch) => ingest.invoke(sqsEvent(batch))));
  await functions.fn('Orchestrate').invoke({});
}

function heartbeat(n: number, minute: number, received_at: number): string {
  const deviceId = `ESP32-${n}`;
  const status = {
    device_id: deviceId,
    device_model: 'esp32-s3',
    firmware_version: '1.0.0',
    uptime_seconds: 1_000 + 60 * minute,
    wifi: { rssi: -50 - ((n + minute) % 20) },
  };
  const payload = Buffer.from(JSON.stringify(status)).toString('base64');
  return JSON.stringify({ payload, topic: `paku/edge/${deviceId}/status`, received_at, client_id: deviceId });
}

function page({ devices, messages, calls, minutesAwake }: Figures): string {
  const others = Object.entries(calls)
    .filter(([service, count]) => service !== 'rds-data' && count > 0)
    .map(([service, count]) => `${number(count)} of ${service}`);
  return `An hour of ${number(devices)} devices that report every 60 s with nothing new, with a tick a minute; two environments of the status function
at once, all of them replaced every ${RECYCLE_INTERVAL_MINUTES} minutes. ${number(messages)} messages, counted by a clock that is moved.

**${number(calls['rds-data'] ?? 0)} statements** in the hour, in **${number(minutesAwake)} of its ${MINUTES} minutes**; beside them ${others.join(', ')} calls. Goal: the database is
untouched for at least 50 minutes. An ordinary test keeps that for two devices with connections of their own.`;
}

export const atRestBenchmark: Benchmark<Figures> = {
  name: 'rest',
  title: 'At rest: an hour of nothing',
  run,
  page,
};
