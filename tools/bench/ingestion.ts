import pg from 'pg';
import { ownDatabase } from '../../test/support/own-database.ts';
import { type Benchmark, number, type Spread, spreadOf, spreadText, table, timed } from './bench.ts';
import { type FunctionsUnderTest, openFunctions, sqsEvent } from './functions-under-test.ts';
import { describePostgres } from './machine.ts';
import { barChart } from './plot.ts';

const DEVICES = 100_000;
/** Batch size of the event source mapping of the status queue. */
const BATCH = 1_000;
const ROUNDS = 3;
/** Messages per round. The slow method gets fewer. */
const MESSAGES = 50_000;
const MESSAGES_ONE_BY_ONE = 5_000;
const CONCURRENCY = 2;

interface Figures {
  readonly postgres: string;
  readonly oneByOne: Spread;
  readonly limit: Spread;
  readonly ours: Spread;
  readonly timesOneByOne: number;
  readonly shareOfLimit: number;
  readonly statementsAThousand: number;
}

interface Status {
  readonly deviceId: string;
  readonly payload: string;
}

/** A status in the format of firmware 1.3.0. */
function statusOf(n: number, round: number): Status {
  const deviceId = `ESP32-${n.toString(16).toUpperCase().padStart(8, '0')}`;
  const status = {
    timestamp: new Date().toISOString(),
    state: 'COLLECT',
    uptime_s: 1000 + round * 60,
    wifi: { connected: true, rssi: -58, ip: '192.168.1.42' },
    mqtt: { connected: true },
    device_id: deviceId,
    firmware_version: '1.3.0',
    device_model: 'esp32-s3',
  };
  return { deviceId, payload: JSON.stringify(status) };
}

const ruleMessage = ({ deviceId, payload }: Status) =>
  JSON.stringify({
    payload: Buffer.from(payload).toString('base64'),
    topic: `paku/edge/${deviceId}/status`,
    received_at: Date.now(),
    client_id: deviceId,
  });

async function run(log: (line: string) => void): Promise<Figures> {
  const server = await ownDatabase();
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: expected the URL of a PostgreSQL server');
  const functions = await openFunctions(server.url);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    for (let first = 0; first < DEVICES; first += MESSAGES) await ingest(functions, eventsOf(statuses(first, 0)));
    await client.query('VACUUM ANALYZE devices');
    const speeds = { oneByOne: [] as number[], limit: [] as number[], ours: [] as number[] };
    const before = functions.calls['rds-data'] ?? 0;
    for (let round = 1; round <= ROUNDS; round++) {
      const messages = statuses((round % 2) * MESSAGES, round);
      speeds.oneByOne.push(
        await speed(MESSAGES_ONE_BY_ONE, () => oneByOne(client, messages.slice(0, MESSAGES_ONE_BY_ONE))),
      );
      speeds.limit.push(await speed(MESSAGES, () => inBatches(client, messages)));
      const events = eventsOf(messages);
      speeds.ours.push(await speed(MESSAGES, () => ingest(functions, events)));
      log(
        Object.entries(speeds)
          .map(([way, values]) => `${way} ${Math.round(values.at(-1) ?? 0)}`)
          .join(', '),
      );
    }
    const statements = (functions.calls['rds-data'] ?? 0) - before;
    const postgres = await describePostgres({ query: async (text) => (await client.query(text)).rows });
    return { postgres, ...figuresOf(speeds, (statements / (ROUNDS * MESSAGES)) * 1000) };
  } finally {
    await client.end();
    await functions.close();
    await server.drop();
  }
}

/** Devices register in order. Their heartbeats arrive in pseudo-random order, which a prime step produces. */
const statuses = (first: number, round: number) =>
  Array.from({ length: MESSAGES }, (_, n) => statusOf(round === 0 ? first + n : ((first + n) * 7919) % DEVICES, round));

async function speed(messages: number, work: () => Promise<unknown>): Promise<number> {
  const [, ms] = await timed(work);
  return (messages / ms) * 1000;
}

/** The Lambda events of the event source mapping. */
function eventsOf(messages: readonly Status[]): object[] {
  const events: object[] = [];
  for (let first = 0; first < messages.length; first += BATCH) {
    events.push(sqsEvent(messages.slice(first, first + BATCH).map(ruleMessage)));
  }
  return events;
}

/** Runs events through bundle, Data API and PostgreSQL, in as many environments as the local runtime has. */
async function ingest(functions: FunctionsUnderTest, events: readonly object[]): Promise<void> {
  const fn = functions.fn('IngestStatus');
  const waiting = events.values();
  const work = async () => {
    for (const event of waiting) await fn.invoke(event);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}

const UPSERT = `ON CONFLICT (device_id) DO UPDATE SET current_firmware_version = excluded.current_firmware_version,
  last_seen = excluded.last_seen, online = true, last_status = excluded.last_status`;

/** One statement with autocommit per message, on a direct connection. */
async function oneByOne(client: pg.Client, messages: readonly Status[]): Promise<void> {
  for (const { deviceId, payload } of messages) {
    await client.query({
      name: 'one',
      text: `INSERT INTO devices (device_id, current_firmware_version, last_seen, online, last_status)
        VALUES ($1, '1.3.0', now(), true, $2) ${UPSERT}`,
      values: [deviceId, payload],
    });
  }
}

/** The upper limit of the same table: many rows per prepared statement, on a direct connection. */
async function inBatches(client: pg.Client, messages: readonly Status[]): Promise<void> {
  for (let first = 0; first < messages.length; first += BATCH) {
    const batch = messages.slice(first, first + BATCH);
    await client.query({
      name: 'many',
      text: `INSERT INTO devices (device_id, current_firmware_version, last_seen, online, last_status)
        SELECT id, '1.3.0', now(), true, payload FROM unnest($1::text[], $2::jsonb[]) AS m(id, payload) ORDER BY id ${UPSERT}`,
      values: [batch.map(({ deviceId }) => deviceId), batch.map(({ payload }) => payload)],
    });
  }
}

function figuresOf(
  speeds: Record<'oneByOne' | 'limit' | 'ours', number[]>,
  statementsAThousand: number,
): Omit<Figures, 'postgres'> {
  const [oneByOneSpread, limit, ours] = [spreadOf(speeds.oneByOne), spreadOf(speeds.limit), spreadOf(speeds.ours)];
  return {
    oneByOne: oneByOneSpread,
    limit,
    ours,
    timesOneByOne: ours.median / oneByOneSpread.median,
    shareOfLimit: ours.median / limit.median,
    statementsAThousand,
  };
}

function page(figures: Figures): string {
  const rows = [
    ['one autocommitted upsert a message, bare connection', spreadText(figures.oneByOne)],
    [`queue event → bundle → Data API → PostgreSQL, batches of ${number(BATCH)}`, spreadText(figures.ours)],
    ['the same rows, many a prepared statement, bare connection', spreadText(figures.limit)],
  ];
  return `Heartbeats of ${number(DEVICES)} registered devices, messages a second, all three ways on the same table in turns. The server
(${figures.postgres}), the endpoint and the functions share the machine.

${table(['way', 'messages a second'], rows)}

Goals: at least 10 times the first, at least half of the last, at most 4 statements for a thousand messages. It is
**${number(figures.timesOneByOne)} times** the first, **${number(figures.shareOfLimit * 100)} %** of the last, with **${number(figures.statementsAThousand)} statements** for a thousand. The last itself is
${number(figures.limit.median / figures.oneByOne.median)} times the first here: its client sits beside a server whose disk answers at once; where a commit takes 2 ms, one connection
makes 500 a second. What ours takes over the last is the functions' own work on each message and the endpoint's on each call, on the same two cores.

![Messages a second](performance/ingestion.svg)`;
}

export const ingestionBenchmark: Benchmark<Figures> = {
  name: 'ingestion',
  title: 'Ingestion: heartbeats',
  run,
  page,
  plots: ({ oneByOne: first, ours, limit }) => ({
    ingestion: barChart({
      title: 'Messages a second',
      unit: 'a second',
      bars: [
        { label: 'one by one', value: first.median },
        { label: 'this service', value: ours.median },
        { label: 'limit', value: limit.median },
      ],
    }),
  }),
};
