import { AwsError, type AwsService } from '../../local/kernel/index.ts';
import { openDatabaseAt } from '../../test/support/database.ts';
import { ownDatabase } from '../../test/support/own-database.ts';
import { addRelease, addRollout } from '../../test/support/rows.ts';
import { type Benchmark, number, percentile, type Spread, spreadOf, spreadText, timed } from './bench.ts';
import { DEVICE_ID } from './fleet-data.ts';
import { type FunctionsUnderTest, openFunctions, sqsEvent } from './functions-under-test.ts';

const COMMANDS = 10_000;
/** Batch size of the event source mapping of the dispatch queue. */
const BATCH = 500;
const ROUNDS = 3;
/** Concurrent environments on AWS (`maxConcurrency` of the queue). The local runtime has two. */
const CONCURRENCY = 10;
const FUNCTIONS = CONCURRENCY / 2;
const MEDIAN_MS = 200;
const P99_MS = 3_000;
const ABSENT_SHARE = 0.2;

interface Figures {
  readonly perSecond: Spread;
  readonly perEnvironment: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly statementsAThousand: number;
}

/** A log-normal delay with that median and 99th percentile, which is 2.326 standard deviations above the median. */
function delayMs(): number {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return MEDIAN_MS * Math.exp((Math.log(P99_MS / MEDIAN_MS) / 2.326) * normal);
}

/** Acknowledges with the delay of radio links. A fifth of the devices are not connected. */
function slowDevices(delays: number[]): AwsService {
  return {
    async handle({ body }) {
      body.resume();
      if (Math.random() < ABSENT_SHARE) throw new AwsError('ResourceNotFoundException', 404, 'not connected');
      const delay = Math.min(delayMs(), 5_000);
      delays.push(delay);
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (delay >= 5_000) throw new AwsError('GatewayTimeoutException', 504, 'no acknowledgement');
      return { status: 200, headers: { 'content-type': 'application/json' }, body: '{}' };
    },
  };
}

async function run(log: (line: string) => void): Promise<Figures> {
  const server = await ownDatabase();
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: expected the URL of a PostgreSQL server');
  const delays: number[] = [];
  const functions: FunctionsUnderTest[] = [];
  const devices = slowDevices(delays);
  for (let n = 0; n < FUNCTIONS; n++) functions.push(await openFunctions(server.url, { iotdata: devices }));
  const statementsSoFar = () => functions.reduce((sum, { calls }) => sum + (calls['rds-data'] ?? 0), 0);
  const db = await openDatabaseAt(server.url, false);
  try {
    const speeds: number[] = [];
    let statements = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const ids = await createPendingUpdates(db.owner, round);
      const before = statementsSoFar();
      const [, ms] = await timed(() => dispatch(functions, ids));
      statements += statementsSoFar() - before;
      speeds.push((COMMANDS / ms) * 1000);
      log(`${Math.round(speeds.at(-1) ?? 0)} commands a second`);
    }
    const sorted = delays.sort((a, b) => a - b);
    const perSecond = spreadOf(speeds);
    return {
      perSecond,
      perEnvironment: perSecond.median / CONCURRENCY,
      medianMs: percentile(sorted, 50),
      p99Ms: percentile(sorted, 99),
      statementsAThousand: (statements / (ROUNDS * COMMANDS)) * 1000,
    };
  } finally {
    await db.close();
    await Promise.all(functions.map((each) => each.close()));
    await server.drop();
  }
}

/** Inserts devices whose command topic is known, with pending updates of a new rollout. @returns the ids of the updates */
async function createPendingUpdates(
  sql: Awaited<ReturnType<typeof openDatabaseAt>>['owner'],
  round: number,
): Promise<number[]> {
  const version = `2.${round}.0`;
  await addRelease(sql, version);
  const rollout = await addRollout(sql, version, version, { stages: [] });
  await sql.query('INSERT INTO rollout_runtime (rollout_id, start_limit) VALUES (:rollout, NULL)', { rollout });
  await sql.query(
    `INSERT INTO devices (device_id, client_id, model_received_at, current_firmware_version, command_family, family_asked_version, online, last_seen)
     SELECT ${DEVICE_ID}, ${DEVICE_ID}, now(), '1.0.0', 'edge', '1.0.0', true, now() FROM generate_series(:first::integer, :last::integer) AS n`,
    { first: round * COMMANDS + 1, last: (round + 1) * COMMANDS },
  );
  await sql.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, deadline_at, enqueue_after)
     SELECT ${DEVICE_ID}, :rollout, f.id, :version, now() + interval '1 day', now()
     FROM generate_series(:first::integer, :last::integer) AS n, firmware_releases AS f WHERE f.version = :version`,
    { rollout, version, first: round * COMMANDS + 1, last: (round + 1) * COMMANDS },
  );
  const [row] = await sql.query<{ first: number }>(
    'SELECT min(id) AS first FROM device_update_status WHERE rollout_id = :rollout',
    { rollout },
  );
  return Array.from({ length: COMMANDS }, (_, n) => (row?.first ?? 0) + n);
}

async function dispatch(functions: readonly FunctionsUnderTest[], ids: readonly number[]): Promise<void> {
  let next = 0;
  const work = async (_: unknown, environment: number) => {
    const fn = functions[environment % FUNCTIONS]?.fn('Dispatch');
    while (next < ids.length) {
      const batch = ids.slice(next, next + BATCH);
      next += BATCH;
      await fn?.invoke(sqsEvent(batch.map((updateId) => JSON.stringify({ updateId }))));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }).map(work));
}

function page(figures: Figures): string {
  const { perSecond, perEnvironment, medianMs, p99Ms, statementsAThousand } = figures;
  return `${number(COMMANDS)} pending commands in batches of ${BATCH}, through the bundle in ${CONCURRENCY} environments (as many as AWS gives it), against an endpoint that
acknowledges after ${number(medianMs)} ms (median; ${number(p99Ms)} ms for one in a hundred) and says of a fifth of the devices that they are
not connected.

**${spreadText(perSecond, '')} commands a second**, ${number(perEnvironment)} in each environment, with ${number(statementsAThousand)} statements for a thousand. Goal: at least
500 a second. A batch takes as long as its slowest
acknowledgement, at most 5 s. On AWS each environment has a machine of its own; here ten of them, the endpoint and the database server share two
cores. Beside it: AWS IoT Jobs starts at most
1,000 executions a minute for one job, and IoT Core takes 20,000 publishes a second for an account (public quotas).`;
}

export const dispatchBenchmark: Benchmark<Figures> = {
  name: 'dispatch',
  title: 'Dispatch: commands',
  run,
  page,
};
