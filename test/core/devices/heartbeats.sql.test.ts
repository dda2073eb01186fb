import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sql } from '../../../core/db/index.ts';
import { evaluateUpdates } from '../../../core/updates/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 1);
  service = new TestService(db.app, db.roles);
});

async function beat(times: number, version: string, uptimeSeconds = 100_000): Promise<void> {
  for (let n = 0; n < times; n++) {
    service.later(1);
    await service.status('d0', version, uptimeSeconds + n * 60);
  }
}
const storedStatuses = async () => {
  const [row] = await db.app.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM ota_events WHERE event_type = 'status'`,
  );
  return row?.n;
};
const updateOf = async () => (await db.app.query('SELECT status, completed_at FROM device_update_status'))[0];

describe('heartbeats of a device with an open update', () => {
  test('are not stored as events while a retry is pending', async () => {
    await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    await service.tick();
    await service.accept('d0');
    service.later(16);
    await service.tick();
    await db.app.query(`UPDATE device_update_status SET not_before = not_before + interval '1 day'`);
    await beat(60, '1.0.0');
    expect(await storedStatuses()).toBeLessThan(15);
    await service.status('d0', '2.0.0');
    expect(await updateOf()).toMatchObject({ status: 'success' });
  });

  test('are not stored as events during probation', async () => {
    await addRollout(db.app, 'r', '2.0.0', { stages: [], probation_minutes: 1_440 });
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 0);
    service.later(1);
    await service.status('d0', 'v2.0.0', 10);
    await beat(20, 'v2.0.0');
    expect(await storedStatuses()).toBe(1);
    service.later(1);
    await service.status('d0', '1.0.0', 10);
    expect(await updateOf()).toMatchObject({ status: 'rolled_back', completed_at: service.now });
  });

  test.each([
    ['with a result', true],
    ['without a result', false],
  ])('are not read again at each evaluation and do not hide a rollback %s', async (_, hasResult) => {
    await addRollout(db.app, 'r', '2.0.0', {
      stages: [],
      attempt_timeout_minutes: 1_440,
      boot_timeout_minutes: 1_440,
      probation_minutes: 1_440,
    });
    await service.tick();
    await service.fetch('d0');
    await beat(10, '1.0.0');
    if (hasResult) await service.result('d0', 0);
    else await service.status('d0', '2.0.0', 5);
    await beat(10, '1.0.0');
    let read = 0;
    const sql: Sql = {
      async query(statement: string, values = {}) {
        const rows = await db.app.query(statement, values);
        read += JSON.stringify(rows).length;
        return rows;
      },
    };
    await evaluateUpdates(sql, [1], service.now);
    expect(read).toBeLessThan(1_200);
    expect(await updateOf()).toMatchObject({ status: 'success', completed_at: null });
    service.later(1);
    await service.status('d0', '1.0.0', 20);
    expect(await updateOf()).toMatchObject({ status: 'rolled_back', completed_at: service.now });
  });
});

test('a thousand redundant heartbeats take at most four statements', async () => {
  await addDevices(db.app, 1_000, { prefix: 'e' });
  let statements = 0;
  const counting = new TestService({
    query(sql, values) {
      statements += 1;
      return db.app.query(sql, values);
    },
  });
  await counting.statuses(
    Array.from({ length: 1_000 }, (_, n) => `e${n}`),
    '1.0.0',
  );
  expect(statements).toBeLessThanOrEqual(4);
});

test('heartbeats do not write to any index, because no index has a column that they change', async () => {
  const changed = [
    'last_seen',
    'uptime_seconds',
    'signal_strength_dbm',
    'last_status',
    'status_fault',
    'facts',
    'fact_times',
    '\\w+_received_at',
  ];
  const indexes = await db.app.query<{ definition: string }>(
    `SELECT indexdef AS definition FROM pg_indexes WHERE tablename = 'devices'`,
  );
  expect(indexes.length).toBeGreaterThan(5);
  const columns = new RegExp(`\\b(${changed.join('|')})\\b`);
  expect(indexes.filter(({ definition }) => columns.test(definition))).toEqual([]);
});
