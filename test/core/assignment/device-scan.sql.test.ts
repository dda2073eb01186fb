import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { assignDevices } from '../../../core/assignment/assign-devices.ts';
import { assignByScan, scanStateOf } from '../../../core/assignment/device-scan.ts';
import type { Sql } from '../../../core/db/index.ts';
import { changeGroup, setAttributes } from '../../../core/devices/index.ts';
import { parseTarget } from '../../../core/policy/index.ts';
import {
  abortRollout,
  loadHigherPriorityRollouts,
  loadRolloutRuntime,
  resumeRollout,
  stopRollout,
} from '../../../core/rollouts/index.ts';
import { counterErrors } from '../../support/counter-recount.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(begin);

async function begin(): Promise<void> {
  await db.empty();
  for (const version of ['2.0.0', '3.0.0']) await addRelease(db.app, version);
  service = new TestService(db.app, db.roles);
}

const AT_ONCE = { stages: [] };
const actor = () => ({ by: 'an operator', now: service.now });
const because = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const assignedBy = async (rollout: string) => {
  const rows = await db.app.query<{ device_id: string }>(
    `SELECT device_id FROM device_update_status JOIN rollout_configurations AS r ON r.id = rollout_id
     WHERE r.name = :rollout AND device_update_status.completed_at IS NULL ORDER BY device_id`,
    { rollout },
  );
  return rows.map(({ device_id: id }) => id);
};

describe('after its scan is complete, a rollout assigns at the next tick a device', () => {
  async function scanned(columns: Record<string, unknown> = {}, version = '1.0.0'): Promise<void> {
    await addDevices(db.app, 1, { prefix: 'late', version });
    await addDevices(db.app, 2);
    await addRollout(db.app, 'all', '2.0.0', { ...AT_ONCE, ...columns });
    await service.tick();
  }

  test('that registers', async () => {
    await scanned();
    await service.status('new', '1.0.0');
    await service.tick();
    expect(await assignedBy('all')).toEqual(['d0', 'd1', 'late0', 'new']);
  });

  test('that changes to a version that may be updated', async () => {
    await scanned({}, '9.0.0');
    await service.status('late0', '1.0.0');
    await service.tick();
    expect(await assignedBy('all')).toEqual(['d0', 'd1', 'late0']);
  });

  test('that is no longer revoked', async () => {
    await addDevices(db.app, 1, { prefix: 'gone' });
    await db.app.query(`UPDATE devices SET revoked_at = now() WHERE device_id = 'gone0'`);
    await scanned();
    expect(await assignedBy('all')).toEqual(['d0', 'd1', 'late0']);
    await db.app.query('UPDATE devices SET revoked_at = NULL');
    await service.tick();
    expect(await assignedBy('all')).toEqual(['d0', 'd1', 'gone0', 'late0']);
  });

  test('that joins the targeted group', async () => {
    await db.app.query(`INSERT INTO devices (device_id) VALUES ('in')`);
    await changeGroup(db.app, 'vans', { add: ['in'], remove: [] }, actor());
    await scanned({ target_type: 'group', target_filter: { groups: ['vans'] } });
    expect(await assignedBy('all')).toEqual([]);
    await changeGroup(db.app, 'vans', { add: ['late0'], remove: [] }, actor());
    await service.tick();
    expect(await assignedBy('all')).toEqual(['late0']);
  });

  test('that leaves the group by which another rollout kept it', async () => {
    await addDevices(db.app, 1, { version: '2.0.0' });
    await changeGroup(db.app, 'vans', { add: ['d0'], remove: [] }, actor());
    const keeping = { target_type: 'group', target_filter: { groups: ['vans'] }, priority: 9, keep_open: true };
    await addRollout(db.app, 'vans', '2.0.0', { ...AT_ONCE, ...keeping });
    await addRollout(db.app, 'all', '3.0.0', { ...AT_ONCE, keep_open: true });
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(await assignedBy('all')).toEqual([]);
    await changeGroup(db.app, 'vans', { add: [], remove: ['d0'] }, actor());
    await service.tick();
    expect(await assignedBy('all')).toEqual(['d0']);
  });

  test('that gets the targeted attributes', async () => {
    await setAttributes(db.app, 'd0', {}, actor());
    await addDevices(db.app, 1, { prefix: 'match' });
    await setAttributes(db.app, 'match0', { customer: 'x' }, actor());
    await scanned({ target_filter: { metadata: { customer: 'x' } } });
    expect(await assignedBy('all')).toEqual(['match0']);
    await setAttributes(db.app, 'late0', { customer: 'x' }, actor());
    await service.tick();
    expect(await assignedBy('all')).toEqual(['late0', 'match0']);
  });

  test.each([
    ['ends', `UPDATE device_update_status SET status = 'canceled', completed_at = now() WHERE device_id = 'd0'`],
    ['is deleted', `DELETE FROM device_update_status WHERE device_id = 'd0'`],
  ])('whose update by another rollout %s', async (_, sql) => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
    await service.tick();
    await addRollout(db.app, 'all', '3.0.0', AT_ONCE);
    await service.tick();
    expect(await assignedBy('all')).toEqual([]);
    await db.app.query(sql);
    await service.tick();
    expect(await assignedBy('all')).toEqual(['d0']);
  });
});

/**
 * Ticks until every transaction that ran when the devices changed has ended. On a server, transactions of other
 * databases count too, and other tests run there.
 */
async function tickUntilExamined(): Promise<void> {
  const examinesAgain = async () => {
    await service.tick();
    const [row] = await db.app.query<{ has_changes: boolean }>(
      `SELECT EXISTS (SELECT FROM device_changes WHERE changed_in >= (SELECT changes_from_xid FROM rollout_runtime)) AS has_changes`,
    );
    return row?.has_changes;
  };
  await expect.poll(examinesAgain, { timeout: 30_000 }).toBe(false);
}

/** The statements of the next tick that examine devices. */
async function scanStatementsOfTick(): Promise<string[]> {
  const statements: string[] = [];
  const watched = new TestService({
    query: (sql, values) => {
      statements.push(sql);
      return db.app.query(sql, values);
    },
  });
  watched.now = service.now;
  await watched.tick();
  return statements.filter((sql) => sql.includes('device_changes AS c') || sql.includes('d.device_id COLLATE'));
}

test('a rollout examines no device if nothing has changed', async () => {
  await addDevices(db.app, 3);
  await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
  await tickUntilExamined();
  expect(await scanStatementsOfTick()).toEqual([]);
});

test('changes are examined until all transactions that ran at the time have ended', async (context) => {
  if (!db.isConcurrent || db.url === undefined) return context.skip('PGlite has one connection');
  await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
  const other = new pg.Client({ connectionString: db.url });
  await other.connect();
  try {
    await other.query('BEGIN');
    await other.query('SELECT pg_current_xact_id()');
    await addDevices(db.app, 3);
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(await assignedBy('all')).toEqual(['d0', 'd1', 'd2']);
    expect(await scanStatementsOfTick()).not.toEqual([]);
    await other.query('ROLLBACK');
    await tickUntilExamined();
    expect(await scanStatementsOfTick()).toEqual([]);
  } finally {
    await other.end();
  }
});

describe('a scan', () => {
  /** Continues the scan of a started rollout, without a tick and with two devices per chunk. */
  async function continueScan(sql: Sql, chunks: number, limit?: number): Promise<number> {
    const [row] = await db.app.query<{ id: number }>('SELECT id FROM rollout_configurations');
    const read = await loadRolloutRuntime(sql, row?.id ?? 0);
    if (read === undefined) throw new Error('there is no rollout');
    const target = parseTarget(read.target_type, read.target_filter, 100);
    if (!target.ok) throw new Error(target.reason);
    const context = { rollout: read, target: target.value, higherPriority: [], knownIssues: [] };
    const releases = [{ releaseId: 1, version: '2.0.0', isSteppingStone: false, fromVersions: ['1.0.0'] }];
    const what = { releases, onTarget: { version: '2.0.0', fromVersions: [] } };
    const limits = { devicesPerChunk: limit === undefined ? 2 : 100, chunks, ...(limit && { limit }) };
    return (await assignByScan(sql, context, what, scanStateOf(read, [], service.now), service.now, limits)).assigned;
  }
  const cursor = async () => {
    const [row] = await db.app.query<{ scan_cursor: string | null }>('SELECT scan_cursor FROM rollout_runtime');
    return row?.scan_cursor;
  };

  beforeEach(async () => {
    await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
    await addDevices(db.app, 1, { version: '9.0.0' });
    await service.tick();
    await addDevices(db.app, 6, { prefix: 'x', version: '1.0.0' });
    // Makes the devices look as if they had been there before the scan, which is restarted.
    await db.app.query('DELETE FROM device_changes');
    await db.app.query(
      `UPDATE rollout_runtime SET scan_cursor = '', changes_from_xid = pg_snapshot_xmin(pg_current_snapshot())`,
    );
  });

  test('continues chunk by chunk, a limited number of them per tick', async () => {
    expect(await continueScan(db.app, 2)).toBe(3);
    expect(await cursor()).toBe('x2');
    expect(await assignedBy('all')).toEqual(['x0', 'x1', 'x2']);
    expect(await continueScan(db.app, 5)).toBe(3);
    expect(await cursor()).toBeNull();
    expect(await assignedBy('all')).toEqual(['x0', 'x1', 'x2', 'x3', 'x4', 'x5']);
  });

  test('misses no device when another one registers between the search and the assignment', async () => {
    let isFirst = true;
    const busy: Sql = {
      async query(sql, values) {
        if (isFirst && sql.includes('INSERT INTO device_update_status')) {
          isFirst = false;
          await addDevices(db.app, 1, { prefix: 'a', version: '1.0.0' });
        }
        return db.app.query(sql, values);
      },
    };
    expect(await continueScan(busy, 1, 3)).toBe(3);
    expect(await assignedBy('all')).toEqual(['a0', 'x0', 'x1']);
    expect(await cursor()).toBe('x1');
    expect(await continueScan(db.app, 5, 100)).toBe(4);
    expect(await assignedBy('all')).toEqual(['a0', 'x0', 'x1', 'x2', 'x3', 'x4', 'x5']);
  });

  test('keeps its progress when a tick is cut short', async () => {
    let assignments = 0;
    const dying: Sql = {
      query(sql, values) {
        if (sql.includes('INSERT INTO device_update_status') && ++assignments === 3) throw new Error('timed out');
        return db.app.query(sql, values);
      },
    };
    await expect(continueScan(dying, 5)).rejects.toThrow('timed out');
    expect(await cursor()).toBe('x2');
  });
});

test('the next tick takes over a pending update that was locked', async (context) => {
  if (!db.isConcurrent || db.url === undefined) return context.skip('PGlite has one connection');
  await addDevices(db.app, 3, { version: '2.0.0' });
  const light = await addRollout(db.app, 'light', '3.0.0', AT_ONCE);
  await db.app.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, deadline_at, enqueue_after)
     SELECT d.device_id, :light, f.id, f.version, :due::timestamptz, :due::timestamptz
     FROM devices AS d, firmware_releases AS f WHERE f.version = '3.0.0'`,
    { light, due: new Date(service.now.getTime() + 86_400_000) },
  );
  await addRollout(db.app, 'heavy', '2.0.0', { ...AT_ONCE, priority: 5, keep_open: true });
  const other = new pg.Client({ connectionString: db.url });
  await other.connect();
  try {
    await other.query('BEGIN');
    await other.query(`SELECT FROM device_update_status WHERE device_id = 'd1' FOR UPDATE`);
    await service.tick();
    expect(await assignedBy('light')).toEqual(['d1']);
    await other.query('ROLLBACK');
    await service.tick();
    expect(await assignedBy('light')).toEqual([]);
  } finally {
    await other.end();
  }
});

test('changes that every running rollout has examined are deleted', async () => {
  await addDevices(db.app, 3);
  await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
  await tickUntilExamined();
  await service.tick();
  expect(await db.app.query('SELECT device_id FROM device_changes')).toEqual([]);
});

/** Events of three devices and three rollouts; each rollout may be the newest. */
type Event =
  | { readonly kind: 'status'; readonly device: number; readonly version: string }
  | { readonly kind: 'result'; readonly device: number; readonly code: number }
  | { readonly kind: 'group'; readonly device: number; readonly is: boolean }
  | { readonly kind: 'customer'; readonly device: number; readonly is: boolean }
  | { readonly kind: 'rollout'; readonly target: number; readonly version: string; readonly priority: number }
  | { readonly kind: 'halt' | 'resume' | 'abort'; readonly rollout: number };

const device = fc.integer({ min: 0, max: 2 });
const rollout = fc.integer({ min: 1, max: 3 });
const version = fc.constantFrom('1.0.0', '2.0.0', '3.0.0');
const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('status' as const), device, version }),
  fc.record({ kind: fc.constant('result' as const), device, code: fc.constantFrom(0, 2) }),
  fc.record({ kind: fc.constant('group' as const), device, is: fc.boolean() }),
  fc.record({ kind: fc.constant('customer' as const), device, is: fc.boolean() }),
  fc.record({
    kind: fc.constant('rollout' as const),
    target: device,
    version: fc.constantFrom('2.0.0', '3.0.0'),
    priority: fc.constantFrom(0, 0, 5),
  }),
  fc.record({ kind: fc.constantFrom('halt' as const, 'resume' as const, 'abort' as const), rollout }),
);

const TARGETS = [
  {},
  { target_type: 'group', target_filter: { groups: ['vans'] } },
  { target_filter: { metadata: { customer: 'x' } } },
];

async function applyEvent(event: Event): Promise<void> {
  if (event.kind === 'status') return service.status(`d${event.device}`, event.version);
  if (event.kind === 'result') return service.result(`d${event.device}`, event.code);
  if (event.kind === 'rollout') {
    const [row] = await db.app.query<{ count: number }>(
      'SELECT count(*)::integer AS count FROM rollout_configurations',
    );
    const columns = {
      ...AT_ONCE,
      ...TARGETS[event.target],
      priority: event.priority,
      max_attempts: 1,
      failure_threshold: 1,
    };
    await addRollout(db.app, `rollout ${row?.count}`, event.version, columns);
    return;
  }
  if (event.kind === 'group') {
    const ids = [`d${event.device}`];
    await changeGroup(db.app, 'vans', event.is ? { add: ids, remove: [] } : { add: [], remove: ids }, actor());
    return;
  }
  if (event.kind === 'customer') {
    await setAttributes(db.app, `d${event.device}`, { customer: event.is ? 'x' : null }, actor());
    return;
  }
  const ways = { halt: stopRollout, resume: resumeRollout, abort: abortRollout };
  await ways[event.kind](db.app, because(event.rollout), service.now);
}

/** Ticks again while ticks halt rollouts, because the next tick assigns the devices that a halt frees. */
async function tickWhileRolloutsHalt(): Promise<void> {
  const halted = async () => {
    const [row] = await db.app.query<{ rollouts: number }>(
      'SELECT count(*)::integer AS rollouts FROM rollout_runtime WHERE is_stopped',
    );
    return row?.rollouts ?? 0;
  };
  let before: number;
  do {
    before = await halted();
    await service.tick();
  } while ((await halted()) > before);
}

/** Counts the devices that a full scan would assign now, for all running rollouts. */
async function countMissed(): Promise<number> {
  const rows = await db.app.query<{ id: number; version: string }>(
    `SELECT id, firmware_version AS version FROM rollout_configurations
     WHERE is_active AND paused_at IS NULL AND completed_at IS NULL ORDER BY priority DESC, id DESC`,
  );
  let left = 0;
  for (const { id, version: target } of rows) {
    const read = await loadRolloutRuntime(db.app, id);
    if (read === undefined || read.stage_hash_cutoff === null) continue;
    const filter = parseTarget(read.target_type, read.target_filter, 100);
    if (!filter.ok) throw new Error(filter.reason);
    const older = ['1.0.0', '2.0.0'].filter((current) => current < target);
    const higherPriority = await loadHigherPriorityRollouts(db.app, read, ['1.0.0', '2.0.0', '3.0.0']);
    const context = { rollout: read, target: filter.value, higherPriority, knownIssues: [] };
    const release = { releaseId: read.release_id ?? 0, version: target, isSteppingStone: false, fromVersions: older };
    const scope = { kind: 'chunk', after: '', until: null } as const;
    left += (await assignDevices(db.app, context, release, scope, 10, service.now)).assigned;
  }
  return left;
}

test(
  'after any sequence of events, a tick misses no device that a full scan would assign, and all counts are right',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(events, { minLength: 3, maxLength: 6 }), async (sequence) => {
        await begin();
        await addDevices(db.app, 3);
        await addRollout(db.app, 'first', '2.0.0', AT_ONCE);
        await service.tick();
        for (const event of sequence) {
          await applyEvent(event);
          service.later(1);
          await tickWhileRolloutsHalt();
          expect(await countMissed()).toBe(0);
          expect(await counterErrors(db.app)).toEqual([]);
        }
      }),
      { numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 5) },
    );
  },
  10 * 60_000,
);
