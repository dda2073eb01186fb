import { CALLER, TestApi } from '../../test/support/api.ts';
import { openDatabaseAt } from '../../test/support/database.ts';
import { type Benchmark, number, percentile, table, timed } from './bench.ts';
import { LARGE, openLargeDatabase } from './large-data.ts';
import { describePostgres } from './machine.ts';
import { barChart } from './plot.ts';

const CALLS = 100;
const GOAL_MS = 100;

interface CallFigures {
  readonly call: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Figures {
  readonly postgres: string;
  readonly calls: readonly CallFigures[];
}

const NEWEST = `rollout ${LARGE.rollouts}`;
const path = (rollout: string, part = '') => `/v1/rollouts/${encodeURIComponent(rollout)}${part}`;

/** The paths of the calls; each gets the id of a device of the fleet. */
const CALLED: Readonly<Record<string, (device: string) => string>> = {
  'devices, first page': () => '/v1/devices?limit=50',
  'devices, from somewhere': (device) => `/v1/devices?limit=50&cursor=${cursor(device)}`,
  'devices of a model': (device) => `/v1/devices?limit=50&model=esp32-s3&cursor=${cursor(device)}`,
  'devices on a rare version': (device) => `/v1/devices?limit=50&version=0.8.0&cursor=${cursor(device)}`,
  'devices on a version that nobody has': () => '/v1/devices?limit=50&version=7.7.7',
  'devices of a group': (device) => `/v1/devices?limit=50&group=vans&cursor=${cursor(device)}`,
  'devices offline': (device) => `/v1/devices?limit=50&online=false&cursor=${cursor(device)}`,
  'devices being updated': () => '/v1/devices?limit=50&updating=true',
  'devices not being updated': () => '/v1/devices?limit=50&updating=false',
  'devices not seen for 200 days': () => `/v1/devices?limit=50&not_seen_since=${daysAgo(200)}`,
  'devices not seen for a year': () => `/v1/devices?limit=50&not_seen_since=${daysAgo(365)}`,
  'devices by the beginning of an id': (device) => `/v1/devices?limit=50&search=${device.slice(0, 10)}`,
  'devices by the end of an id': (device) => `/v1/devices?limit=50&search=${device.slice(6)}`,
  'one device': (device) => `/v1/devices/${device}`,
  'timeline of a device': (device) => `/v1/devices/${device}/timeline`,
  'why a device is where it is': (device) => `/v1/devices/${device}/explain`,
  rollouts: () => '/v1/rollouts?limit=50',
  'rollouts that are active': () => '/v1/rollouts?limit=50&state=active',
  'one rollout': () => path(NEWEST),
  'progress of a rollout that runs': () => path(NEWEST, '/progress'),
  'progress of a complete rollout': () => path('rollout 3', '/progress'),
  'updates of a rollout': () => path(NEWEST, '/updates?limit=50'),
  'updates of an old rollout': () => path('rollout 1', '/updates?limit=50'),
  'updates that failed': () => path('rollout 5', '/updates?limit=50&status=failed'),
  'updates that are open': () => path(NEWEST, '/updates?limit=50&open=true'),
  'updates that are open, where none is': () => path('rollout 2', '/updates?limit=50&open=true'),
  'decisions about a rollout': () => path(NEWEST, '/decisions'),
  groups: () => '/v1/groups',
  fleet: () => '/v1/fleet',
};

const cursor = (device: string) => Buffer.from(JSON.stringify(device)).toString('base64url');
const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

async function run(log: (line: string) => void): Promise<Figures> {
  const db = await openDatabaseAt(await openLargeDatabase(log), false);
  try {
    const api = new TestApi(db.app, () => new Date());
    const devices = await someDevices(db.app);
    const calls: CallFigures[] = [];
    for (const [call, urlFor] of Object.entries(CALLED)) {
      const times: number[] = [];
      for (let n = 0; n < CALLS; n++) times.push(await callOnce(api, urlFor(devices[n % devices.length] ?? '')));
      const sorted = times.sort((a, b) => a - b);
      calls.push({ call, p50Ms: percentile(sorted, 50), p99Ms: percentile(sorted, 99) });
      log(`${call}: ${number(percentile(sorted, 50))} / ${number(percentile(sorted, 99))} ms`);
    }
    return { postgres: await describePostgres(db.app), calls };
  } finally {
    await db.close();
  }
}

async function someDevices(sql: Awaited<ReturnType<typeof openDatabaseAt>>['app']): Promise<string[]> {
  const rows = await sql.query<{ device_id: string }>(
    'SELECT device_id FROM devices TABLESAMPLE SYSTEM (0.1) ORDER BY md5(device_id) LIMIT 100',
  );
  return rows.map(({ device_id: id }) => id);
}

async function callOnce(api: TestApi, url: string): Promise<number> {
  const event = { requestContext: { authorizer: { iam: { userArn: CALLER } } } };
  const [answer, ms] = await timed(async () => api.app.request(url, {}, { event }));
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return ms;
}

function page({ postgres, calls }: Figures): string {
  const slow = calls.filter(({ p99Ms }) => p99Ms > GOAL_MS);
  const verdict =
    slow.length === 0
      ? 'None is over it.'
      : `Over it: ${slow.map(({ call, p99Ms }) => `${call} (${number(p99Ms)} ms)`).join(', ')}.`;
  const rows = calls.map(({ call, p50Ms, p99Ms }) => [call, number(p50Ms), number(p99Ms)]);
  return `Calls of the operator API with ${number(LARGE.devices)} devices and ${number(LARGE.devices * LARGE.rollouts)} device updates of ${LARGE.rollouts} rollouts, ${CALLS} of each one after
the other, from the request to the answer, through the Data API endpoint. ${postgres}.

Goal: no list and no progress in more than ${GOAL_MS} ms (99 of 100). ${verdict}

${table(['call', 'p50, ms', 'p99, ms'], rows)}

![99th percentile of each call](performance/api.svg)`;
}

export const apiBenchmark: Benchmark<Figures> = {
  name: 'api',
  title: 'Operator API',
  run,
  page,
  plots: ({ calls }) => ({
    api: barChart({
      title: '99th percentile of each call',
      unit: 'ms',
      bars: calls.map(({ call, p99Ms }) => ({ label: call, value: p99Ms })),
      goal: { label: `goal ${GOAL_MS} ms`, value: GOAL_MS },
    }),
  }),
};
