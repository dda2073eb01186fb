import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleFleetVersions } from '../../core/orchestrator/index.ts';
import { ORCHESTRATOR } from '../../core/policy/index.ts';
import { stopRollout } from '../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Query {
  readonly rawSql: string;
  readonly datasource?: { readonly uid: string };
}
const dashboard = JSON.parse(read('grafana/dashboards/paku-ota.json')) as {
  readonly panels: readonly { title: string; gridPos: Rectangle; targets: readonly (Query & { format: string })[] }[];
  readonly annotations: { readonly list: readonly { name: string; target: Query }[] };
  readonly templating: { readonly list: readonly { name: string; type: string; query: string }[] };
};
interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

const MODEL_VARIABLE = '$' + '{model:sqlstring}';
const DAY_MS = 86_400_000;
const range = { from: new Date(Date.now() - 7 * DAY_MS), to: new Date() };

/**
 * What Grafana makes of a query: variables first, then macros, whose arguments end at the first closing parenthesis.
 * Source: grafana/grafana, pkg/tsdb/grafana-postgresql-datasource/macros.go.
 */
function interpolate(sql: string, models = `'esp32-s3','esp32-c3'`): string {
  const values = sql
    .replaceAll(MODEL_VARIABLE, models)
    .replaceAll('$stuck_hours', '24')
    .replaceAll('$__interval', '5m');
  return values.replaceAll(/\$([_a-zA-Z0-9]+)\(([^)]*)\)/g, (call, name: string, args: string) => {
    const [column = '', interval = ''] = args.split(',').map((arg) => arg.trim());
    const group = `floor(extract(epoch from ${column})/300)*300`;
    if (name === '__timeFilter')
      return `${column} BETWEEN '${range.from.toISOString()}' AND '${range.to.toISOString()}'`;
    if (interval !== '5m') throw new Error(`${call}: the interval is "${interval}", expected $__interval`);
    if (name === '__timeGroup') return group;
    if (name === '__timeGroupAlias') return `${group} AS "time"`;
    throw new Error(`${call} is no macro that is used here`);
  });
}

/** A role of a server outlives its database, and tests of other databases run beside this one. */
const ROLE = `paku_reader_${process.pid}`;
let db: TestDatabase;
let reader: ReturnType<TestDatabase['as']>;

beforeAll(async () => {
  db = await openTestDatabase();
  const [, sql = ''] = /```sql\n([\s\S]*?)```/.exec(read('docs/grafana.md')) ?? [];
  for (const statement of sql.split(';').map((text) => text.trim())) {
    if (statement !== '') await db.owner.query(statement.replaceAll('paku_reader', ROLE));
  }
  reader = db.as(ROLE);
  await haveLived();
});
afterAll(async () => {
  await db?.owner.query(`DROP OWNED BY ${ROLE}`);
  await db?.owner.query(`DROP ROLE ${ROLE}`);
  await db?.close();
});

/** Two days ago, in a fleet of nine: updates that succeeded, failed, were rolled back and are stuck, a rollout that halted. */
async function haveLived(): Promise<void> {
  const service = new TestService(db.app, db.roles);
  service.now = new Date(Date.now() - 2 * DAY_MS);
  await addDevices(db.app, 6);
  await addDevices(db.app, 3, { model: 'esp32-c3', prefix: 'c' });
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '1.5.0', { model: 'esp32-c3' });
  await sampleFleetVersions(db.app, service.now);
  await addRollout(db.app, 'vans', '2.0.0', { stages: [], failure_threshold: 1, max_attempts: 1 });
  const other = await addRollout(db.app, 'tanks', '1.5.0', { stages: [], device_model: 'esp32-c3' });
  await service.tick();
  await service.fail('d1');
  await service.fetch('d2');
  await service.succeed('d0');
  await service.tick();
  await sampleFleetVersions(db.app, service.now);
  await stopRollout(db.app, { rolloutId: other, reason: 'smoke', by: ORCHESTRATOR }, service.now);
  // Rows are made when they are made; these were two days ago.
  await db.app.query('UPDATE device_update_status SET created_at = :at::timestamptz', { at: service.now });
}

const run = (sql: string, models?: string) => reader.query(interpolate(sql, models));

describe('the dashboard', () => {
  const queries = dashboard.panels.flatMap(({ title, targets }) => targets.map((target) => ({ title, ...target })));

  test.each(queries)('$title: the query returns something', async ({ rawSql, format }) => {
    const rows = await run(rawSql);
    expect(rows).not.toEqual([]);
    if (format !== 'time_series') return;
    for (const row of rows) expect(row).toMatchObject({ time: expect.anything(), metric: expect.any(String) });
    const times = rows.map(({ time }) => Number(time instanceof Date ? time.getTime() : time));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test.each(dashboard.annotations.list)('annotation $name: the query returns something', async ({ target }) => {
    expect(await run(target.rawSql)).toEqual([{ time: expect.any(Date), text: 'tanks: smoke', tags: 'halted' }]);
  });

  test.each(dashboard.templating.list.filter(({ type }) => type === 'query'))(
    'variable $name: the query returns something',
    async ({ query }) => {
      expect(await run(query)).toEqual([{ device_model: 'esp32-c3' }, { device_model: 'esp32-s3' }]);
    },
  );

  const only = async (title: string, models?: string) => {
    const query = queries.find((candidate) => candidate.title === title);
    if (query === undefined) throw new Error(`no panel is called ${title}`);
    return run(query.rawSql, models);
  };

  test('shows what happened', async () => {
    expect(await only('Devices')).toMatchObject([{ devices: 9, 'seen in the last hour': 9, 'silent for a week': 0 }]);
    expect(await only('Success rate')).toEqual([{ 'success rate': 0.5 }]);
    expect(await only('Rollouts')).toEqual([{ active: 1, scheduled: 0, halted: 1, paused: 0 }]);
    expect(await only('Failures by reason')).toMatchObject([{ outcome: 'failed', code: 9, updates: 1 }]);
    expect((await only('Stuck devices')).map(({ device }) => device)).toContain('d2');
    expect(await only('Active rollouts')).toMatchObject([{ rollout: 'tanks' }, { rollout: 'vans', succeeded: 1 }]);
    const samples = await only('Firmware versions over time', `'esp32-s3'`);
    expect(samples.map(({ metric, devices }) => [metric, devices])).toEqual([
      ['1.0.0', 6],
      ['1.0.0', 5],
      ['2.0.0', 1],
    ]);
  });

  test('shows one model alone where one is chosen', async () => {
    expect(await only('Devices', `'esp32-c3'`)).toMatchObject([{ devices: 3 }]);
    expect(await only('Rollouts', `'esp32-c3'`)).toEqual([{ active: 0, scheduled: 0, halted: 1, paused: 0 }]);
  });

  test('asks the data source that is provisioned, and lays no panel over another', () => {
    expect(read('grafana/provisioning/datasources/paku-ota.yaml')).toContain('uid: paku-ota\n');
    for (const { datasource } of queries) expect(datasource?.uid).toBe('paku-ota');
    const overlap = (a: Rectangle, b: Rectangle) =>
      a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
    const places = dashboard.panels.map(({ gridPos }) => gridPos);
    for (const place of places) expect(place.x + place.w).toBeLessThanOrEqual(24);
    expect(places.filter((a, i) => places.some((b, j) => i !== j && overlap(a, b)))).toEqual([]);
  });
});

test('the role of the page reads the views and not the tables behind them, and writes nothing', async () => {
  await expect(reader.query('SELECT * FROM devices')).rejects.toThrow('permission denied');
  await expect(reader.query(`UPDATE fleet_versions SET devices = 0`)).rejects.toThrow('permission denied');
});
