import { buffer } from 'node:stream/consumers';
import type { AwsService } from '../../local/kernel/index.ts';
import { openDatabaseAt } from '../../test/support/database.ts';
import { ownDatabase } from '../../test/support/own-database.ts';
import { addRelease, addRollout } from '../../test/support/rows.ts';
import type { TestSql } from '../../test/support/test-sql.ts';
import { timed } from './bench.ts';
import { type FunctionsUnderTest, openFunctions, sqsEvent } from './functions-under-test.ts';

const DEVICES = 100_000;
const VERSION = '2.0.0';
/** Batch sizes of the event source mappings. */
const BATCH = { IngestStatus: 1_000, IngestOta: 500, Dispatch: 500 };
type Consumer = keyof typeof BATCH;
/** Concurrent environments of a function in the local runtime. */
const CONCURRENCY = 2;

export interface BehindRules {
  readonly devices: number;
  readonly registeringSeconds: number;
  /** From the insert of the rollout to the last proven update, with one step after the other. */
  readonly seconds: number;
  readonly devicesAMinute: number;
  readonly ticks: number;
  readonly messages: number;
  readonly statements: number;
  /** Seconds by step. */
  readonly spent: Readonly<Record<string, number>>;
}

/** A message of a device in the format of the topic rules. */
const ruleMessage = (deviceId: string, topic: string, payload: object) =>
  JSON.stringify({
    payload: Buffer.from(JSON.stringify(payload)).toString('base64'),
    topic: `paku/edge/${deviceId}/${topic}`,
    received_at: Date.now(),
    client_id: deviceId,
  });

const status = (deviceId: string, firmware_version: string, uptime_seconds: number) =>
  ruleMessage(deviceId, 'status', { device_id: deviceId, device_model: 'esp32-s3', firmware_version, uptime_seconds });

/** The messages of an update in the order of the field firmware. The device gets its command after a heartbeat. */
const REPORTS: readonly ((deviceId: string) => string)[] = [
  (id) => ruleMessage(id, 'ota/status', { status: 'accepted', version: VERSION }),
  (id) => ruleMessage(id, 'ota/progress', { state: 'Downloading', percent: 50 }),
  (id) => ruleMessage(id, 'ota/progress', { state: 'Installing', percent: 100 }),
  (id) => ruleMessage(id, 'ota/result', { success: true, result_code: 0, version: VERSION }),
];

/** Replaces the broker: records the device of each command, and acknowledges it. */
function respondingDevices(reached: string[]): AwsService {
  return {
    async handle({ path, body }) {
      await buffer(body);
      const clientId = /^\/connections\/([^/]+)\/messages$/.exec(path)?.[1];
      if (clientId === undefined) throw new Error(`${path} is not a message to one client`);
      reached.push(decodeURIComponent(clientId));
      return { status: 200, headers: { 'content-type': 'application/json' }, body: '{}' };
    },
  };
}

/** A rollout to devices that exist only as messages: it measures everything behind the topic rules. */
export async function rolloutBehindRules(log: (line: string) => void): Promise<BehindRules> {
  const server = await ownDatabase();
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: expected the URL of a PostgreSQL server');
  const reached: string[] = [];
  const functions = await openFunctions(server.url, { iotdata: respondingDevices(reached) });
  const db = await openDatabaseAt(server.url, false);
  try {
    const ids = Array.from({ length: DEVICES }, (_, n) => `ESP32-${n.toString(16).toUpperCase().padStart(8, '0')}`);
    const register = () =>
      feed(
        functions,
        'IngestStatus',
        ids.map((id) => status(id, '1.0.0', 5_000)),
      );
    const [, registeringMs] = await timed(register);
    log(`${DEVICES} registered after ${Math.round(registeringMs / 1000)} s`);
    await db.owner.query('VACUUM ANALYZE devices');
    await addRelease(db.owner, VERSION);
    const statementsBefore = functions.calls['rds-data'] ?? 0;
    const rollout = await roll(functions, db.app, reached, log);
    return {
      devices: DEVICES,
      registeringSeconds: registeringMs / 1000,
      devicesAMinute: (DEVICES / rollout.seconds) * 60,
      statements: (functions.calls['rds-data'] ?? 0) - statementsBefore,
      ...rollout,
    };
  } finally {
    await db.close();
    await functions.close();
    await server.drop();
  }
}

async function roll(functions: FunctionsUnderTest, sql: TestSql, reached: string[], log: (line: string) => void) {
  await addRollout(sql, 'everyone', VERSION, { stages: [], probation_minutes: 0 });
  const spent: Record<string, number> = {};
  const spend = async (what: string, work: () => Promise<unknown>) => {
    const [, ms] = await timed(work);
    spent[what] = (spent[what] ?? 0) + ms / 1000;
  };
  let [ticks, messages, done] = [0, 0, 0];
  while (done < DEVICES) {
    await spend('Orchestrate', () => functions.fn('Orchestrate').invoke({}));
    const assigned = await readPending(sql);
    await spend('IngestStatus', () =>
      feed(
        functions,
        'IngestStatus',
        assigned.map((id) => status(id, '1.0.0', 5_060)),
      ),
    );
    await spend('Dispatch', () => feed(functions, 'Dispatch', functions.takeQueued('DispatchQueue')));
    const woken = reached.splice(0);
    if (++ticks > 2 && woken.length === 0)
      throw new Error(`tick ${ticks} sent nothing, ${done} of ${DEVICES} are done`);
    for (const report of REPORTS) await spend('IngestOta', () => feed(functions, 'IngestOta', woken.map(report)));
    const reports = woken.map((id) => status(id, VERSION, 2));
    await spend('IngestStatus', () => feed(functions, 'IngestStatus', reports));
    messages += assigned.length + woken.length * (REPORTS.length + 1);
    done = await countDone(sql);
    log(`tick ${ticks}: ${done} done`);
  }
  return { ticks, messages, spent, seconds: Object.values(spent).reduce((sum, seconds) => sum + seconds, 0) };
}

async function readPending(sql: TestSql): Promise<string[]> {
  const rows = await sql.query<{ device_id: string }>(
    `SELECT device_id FROM device_update_status WHERE status = 'pending'`,
  );
  return rows.map(({ device_id: id }) => id);
}

async function countDone(sql: TestSql): Promise<number> {
  const [row] = await sql.query<{ done: number }>(
    `SELECT coalesce(sum(updates), 0)::integer AS done FROM update_counts WHERE state = 'success'`,
  );
  return row?.done ?? 0;
}

/** Invokes a function with messages in batches, as many concurrently as it has environments. */
async function feed(functions: FunctionsUnderTest, consumer: Consumer, bodies: readonly string[]): Promise<void> {
  const size = BATCH[consumer];
  let next = 0;
  const work = async () => {
    while (next < bodies.length) {
      const batch = bodies.slice(next, next + size);
      next += size;
      await functions.fn(consumer).invoke(sqsEvent(batch));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}
