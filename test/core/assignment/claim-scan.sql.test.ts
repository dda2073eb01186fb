import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { claimDevices } from '../../../core/assignment/assign-devices.ts';
import { claimOnWalk, walkOf } from '../../../core/assignment/claim-scan.ts';
import type { Sql } from '../../../core/db/index.ts';
import { changeGroup, setAttributes } from '../../../core/devices/index.ts';
import { readTarget } from '../../../core/policy/index.ts';
import { abortRollout, readRollout, readWinners, resumeRollout, stopRollout } from '../../../core/rollouts/index.ts';
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
  service = new TestService(db.app);
}

const AT_ONCE = { stages: [] };
const act = () => ({ by: 'an operator', now: service.now });
const because = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const claimedBy = async (rollout: string) => {
  const rows = await db.app.query<{ device_id: string }>(
    `SELECT device_id FROM device_update_status JOIN rollout_configurations AS r ON r.id = rollout_id
     WHERE r.name = :rollout AND device_update_status.completed_at IS NULL ORDER BY device_id`,
    { rollout },
  );
  return rows.map(({ device_id: id }) => id);
};

describe('a rollout that has walked through its devices claims at the next tick', () => {
  async function walked(columns: Record<string, unknown> = {}, version = '1.0.0'): Promise<void> {
    await addDevices(db.app, 1, { prefix: 'late', version });
    await addDevices(db.app, 2);
    await addRollout(db.app, 'all', '2.0.0', { ...AT_ONCE, ...columns });
    await service.tick();
  }

  test('one that registers', async () => {
    await walked();
    await service.status('new', '1.0.0');
    await service.tick();
    expect(await claimedBy('all')).toEqual(['d0', 'd1', 'late0', 'new']);
  });

  test('one that comes to a version that may be updated', async () => {
    await walked({}, '9.0.0');
    await service.status('late0', '1.0.0');
    await service.tick();
    expect(await claimedBy('all')).toEqual(['d0', 'd1', 'late0']);
  });

  test('one that is no longer revoked', async () => {
    await addDevices(db.app, 1, { prefix: 'gone' });
    await db.app.query(`UPDATE devices SET revoked_at = now() WHERE device_id = 'gone0'`);
    await walked();
    expect(await claimedBy('all')).toEqual(['d0', 'd1', 'late0']);
    await db.app.query('UPDATE devices SET revoked_at = NULL');
    await service.tick();
    expect(await claimedBy('all')).toEqual(['d0', 'd1', 'gone0', 'late0']);
  });

  test('one that joins its group', async () => {
    await db.app.query(`INSERT INTO devices (device_id) VALUES ('in')`);
    await changeGroup(db.app, 'vans', { add: ['in'], remove: [] }, act());
    await walked({ target_type: 'group', target_filter: { groups: ['vans'] } });
    expect(await claimedBy('all')).toEqual([]);
    await changeGroup(db.app, 'vans', { add: ['late0'], remove: [] }, act());
    await service.tick();
    expect(await claimedBy('all')).toEqual(['late0']);
  });

  test('one that leaves the group by which another rollout kept it', async () => {
    await addDevices(db.app, 1, { version: '2.0.0' });
    await changeGroup(db.app, 'vans', { add: ['d0'], remove: [] }, act());
    const keeping = { target_type: 'group', target_filter: { groups: ['vans'] }, priority: 9, keep_open: true };
    await addRollout(db.app, 'vans', '2.0.0', { ...AT_ONCE, ...keeping });
    await addRollout(db.app, 'all', '3.0.0', { ...AT_ONCE, keep_open: true });
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(await claimedBy('all')).toEqual([]);
    await changeGroup(db.app, 'vans', { add: [], remove: ['d0'] }, act());
    await service.tick();
    expect(await claimedBy('all')).toEqual(['d0']);
  });

  test('one that gets the metadata that it asks for', async () => {
    await setAttributes(db.app, 'd0', {}, act());
    await addDevices(db.app, 1, { prefix: 'meant' });
    await setAttributes(db.app, 'meant0', { customer: 'x' }, act());
    await walked({ target_filter: { metadata: { customer: 'x' } } });
    expect(await claimedBy('all')).toEqual(['meant0']);
    await setAttributes(db.app, 'late0', { customer: 'x' }, act());
    await service.tick();
    expect(await claimedBy('all')).toEqual(['late0', 'meant0']);
  });

  test.each([
    ['ends', `UPDATE device_update_status SET status = 'canceled', completed_at = now() WHERE device_id = 'd0'`],
    ['is deleted', `DELETE FROM device_update_status WHERE device_id = 'd0'`],
  ])('one whose update by another rollout %s', async (_, sql) => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
    await service.tick();
    await addRollout(db.app, 'all', '3.0.0', AT_ONCE);
    await service.tick();
    expect(await claimedBy('all')).toEqual([]);
    await db.app.query(sql);
    await service.tick();
    expect(await claimedBy('all')).toEqual(['d0']);
  });
});

/**
 * Ticks until every transaction has ended that ran when the devices changed: of a server, those of other databases count
 * too, and other tests run there.
 */
async function tickUntilLookedAt(): Promise<void> {
  const looksAgain = async () => {
    await service.tick();
    const [row] = await db.app.query<{ looks: boolean }>(
      `SELECT EXISTS (SELECT FROM device_changes WHERE changed_in >= (SELECT changes_from_xid FROM rollout_runtime)) AS looks`,
    );
    return row?.looks;
  };
  await expect.poll(looksAgain, { timeout: 30_000 }).toBe(false);
}

/** The statements of the next tick that look at devices. */
async function looksOfATick(): Promise<string[]> {
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

test('a rollout of which nothing has changed looks at no device', async () => {
  await addDevices(db.app, 3);
  await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
  await tickUntilLookedAt();
  expect(await looksOfATick()).toEqual([]);
});

test('what changed is looked at until the transactions that ran then have ended', async (context) => {
  if (!db.isConcurrent || db.url === undefined) return context.skip('PGlite has one connection');
  await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
  const other = new pg.Client({ connectionString: db.url });
  await other.connect();
  try {
    await other.query('BEGIN');
    await other.query('SELECT pg_current_xact_id()');
    await addDevices(db.app, 3);
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(await claimedBy('all')).toEqual(['d0', 'd1', 'd2']);
    expect(await looksOfATick()).not.toEqual([]);
    await other.query('ROLLBACK');
    await tickUntilLookedAt();
    expect(await looksOfATick()).toEqual([]);
  } finally {
    await other.end();
  }
});

describe('a walk', () => {
  /** Goes on with the walk of a rollout that has begun, by itself and with two devices a stretch. */
  async function walkOn(sql: Sql, stretches: number, claims?: number): Promise<number> {
    const [row] = await db.app.query<{ id: number }>('SELECT id FROM rollout_configurations');
    const read = await readRollout(sql, row?.id ?? 0);
    if (read === undefined) throw new Error('there is no rollout');
    const target = readTarget(read.target_type, read.target_filter, 100);
    if (!target.ok) throw new Error(target.reason);
    const claimer = { rollout: read, target: target.target, winners: [] };
    const releases = [{ releaseId: 1, version: '2.0.0', isSteppingStone: false, fromVersions: ['1.0.0'] }];
    const what = { releases, onTarget: { version: '2.0.0', fromVersions: [] } };
    const limits = { devicesAStretch: claims === undefined ? 2 : 100, stretches, ...(claims && { claims }) };
    return (await claimOnWalk(sql, claimer, what, walkOf(read, [], service.now), service.now, limits)).claimed;
  }
  const comeTo = async () => {
    const [row] = await db.app.query<{ scan_cursor: string | null }>('SELECT scan_cursor FROM rollout_runtime');
    return row?.scan_cursor;
  };

  beforeEach(async () => {
    await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
    await addDevices(db.app, 1, { version: '9.0.0' });
    await service.tick();
    await addDevices(db.app, 6, { prefix: 'x', version: '1.0.0' });
    // As if they had been there before the walk, which begins anew.
    await db.app.query('DELETE FROM device_changes');
    await db.app.query(
      `UPDATE rollout_runtime SET scan_cursor = '', changes_from_xid = pg_snapshot_xmin(pg_current_snapshot())`,
    );
  });

  test('goes on by stretches, of which a tick takes so many', async () => {
    expect(await walkOn(db.app, 2)).toBe(3);
    expect(await comeTo()).toBe('x2');
    expect(await claimedBy('all')).toEqual(['x0', 'x1', 'x2']);
    expect(await walkOn(db.app, 5)).toBe(3);
    expect(await comeTo()).toBeNull();
    expect(await claimedBy('all')).toEqual(['x0', 'x1', 'x2', 'x3', 'x4', 'x5']);
  });

  test('comes past no device that another one pushes out, which registers between the look and the claim', async () => {
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
    expect(await walkOn(busy, 1, 3)).toBe(3);
    expect(await claimedBy('all')).toEqual(['a0', 'x0', 'x1']);
    expect(await comeTo()).toBe('x1');
    expect(await walkOn(db.app, 5, 100)).toBe(4);
    expect(await claimedBy('all')).toEqual(['a0', 'x0', 'x1', 'x2', 'x3', 'x4', 'x5']);
  });

  test('has come on when its tick is cut short', async () => {
    let claims = 0;
    const dying: Sql = {
      query(sql, values) {
        if (sql.includes('INSERT INTO device_update_status') && ++claims === 3) throw new Error('timed out');
        return db.app.query(sql, values);
      },
    };
    await expect(walkOn(dying, 5)).rejects.toThrow('timed out');
    expect(await comeTo()).toBe('x2');
  });
});

test('a claim to be taken over that is locked for a moment is taken over by the next tick', async (context) => {
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
    expect(await claimedBy('light')).toEqual(['d1']);
    await other.query('ROLLBACK');
    await service.tick();
    expect(await claimedBy('light')).toEqual([]);
  } finally {
    await other.end();
  }
});

test('changes that every running rollout has looked at are forgotten', async () => {
  await addDevices(db.app, 3);
  await addRollout(db.app, 'all', '2.0.0', AT_ONCE);
  await tickUntilLookedAt();
  await service.tick();
  expect(await db.app.query('SELECT device_id FROM device_changes')).toEqual([]);
});

/** What happens to three devices and three rollouts, of which each may be the newest. */
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

async function happen(event: Event): Promise<void> {
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
    await changeGroup(db.app, 'vans', event.is ? { add: ids, remove: [] } : { add: [], remove: ids }, act());
    return;
  }
  if (event.kind === 'customer') {
    await setAttributes(db.app, `d${event.device}`, { customer: event.is ? 'x' : null }, act());
    return;
  }
  const ways = { halt: stopRollout, resume: resumeRollout, abort: abortRollout };
  await ways[event.kind](db.app, because(event.rollout), service.now);
}

/** What a tick frees itself, by halting a rollout, is claimed by the next. */
async function tickAsLongAsItHalts(): Promise<void> {
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

/** What a walk from the beginning would claim now, for any rollout that runs. */
async function leftBehind(): Promise<number> {
  const rows = await db.app.query<{ id: number; version: string }>(
    `SELECT id, firmware_version AS version FROM rollout_configurations
     WHERE is_active AND paused_at IS NULL AND completed_at IS NULL ORDER BY priority DESC, id DESC`,
  );
  let left = 0;
  for (const { id, version: target } of rows) {
    const read = await readRollout(db.app, id);
    if (read === undefined || read.stage_hash_cutoff === null) continue;
    const filter = readTarget(read.target_type, read.target_filter, 100);
    if (!filter.ok) throw new Error(filter.reason);
    const older = ['1.0.0', '2.0.0'].filter((current) => current < target);
    const winners = await readWinners(db.app, read, ['1.0.0', '2.0.0', '3.0.0']);
    const claimer = { rollout: read, target: filter.target, winners };
    const release = { releaseId: read.release_id ?? 0, version: target, isSteppingStone: false, fromVersions: older };
    const scope = { kind: 'stretch', after: '', until: null } as const;
    left += (await claimDevices(db.app, claimer, release, scope, 10, service.now)).claimed;
  }
  return left;
}

test(
  'whatever happens, a tick leaves no device behind that a walk from the beginning would claim, and all counts are right',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(events, { minLength: 3, maxLength: 6 }), async (happenings) => {
        await begin();
        await addDevices(db.app, 3);
        await addRollout(db.app, 'first', '2.0.0', AT_ONCE);
        await service.tick();
        for (const event of happenings) {
          await happen(event);
          service.later(1);
          await tickAsLongAsItHalts();
          expect(await leftBehind()).toBe(0);
          expect(await counterErrors(db.app)).toEqual([]);
        }
      }),
      { numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 5) },
    );
  },
  10 * 60_000,
);
