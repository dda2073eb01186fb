import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sql } from '../../../core/db/index.ts';
import { runTick } from '../../../core/orchestrator/index.ts';
import { resumeRollout, stopRollout } from '../../../core/rollouts/rollout-control.ts';
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
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [] };
const set = (assignments: string) => db.app.query(`UPDATE rollout_configurations SET ${assignments}`);
const countByStatus = async () => {
  const rows = await db.app.query<{ status: string; n: number }>(
    'SELECT status, count(*)::integer AS n FROM device_update_status GROUP BY status',
  );
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
};
const why = { rolloutId: 1, reason: 'because', by: 'an operator' };

describe.each([
  ['is_active = false', 'is_active = true'],
  ['paused_at = now()', 'paused_at = NULL'],
])('a running rollout with %s', (stop, go) => {
  beforeEach(async () => {
    await addDevices(db.app, 4);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.absent.add('d2');
    service.absent.add('d3');
    await service.tick();
    await service.fetch('d0');
    await set(stop);
  });

  test('sends nothing from then on, even to a device that reports', async () => {
    service.absent.clear();
    await service.status('d2', '1.0.0');
    await service.tick();
    await service.status('d3', '1.0.0');
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d0', 'd1']);
  });

  test('refuses unfetched images at once, and later failures do not count', async () => {
    expect(await service.fetch('d1')).toBe('over');
    await service.fail('d1');
    expect(await service.fetch('d0')).toBe('open');
    await service.tick();
    expect(await countByStatus()).toEqual({ canceled: 3, downloading: 1 });
  });

  test('leaves its devices to other rollouts and is shown as paused', async () => {
    await service.tick();
    const shown = await db.app.query('SELECT state, devices, canceled FROM rollout_overview');
    expect(shown).toEqual([{ state: 'paused', devices: 4, canceled: 3 }]);
    await addRollout(db.app, 'other', '2.0.0', { ...AT_ONCE, priority: -1 });
    service.absent.clear();
    expect(await service.tick()).toEqual(['d1', 'd2', 'd3']);
  });

  test(`continues with ${go}`, async () => {
    await service.tick();
    service.absent.clear();
    await set(go);
    expect(await service.tick()).toEqual(['d1', 'd2', 'd3']);
    const events = await db.app.query('SELECT event, decided_by FROM rollout_timeline ORDER BY event_id');
    expect(events).toEqual([
      { event: 'rollout_started', decided_by: 'SQL' },
      { event: 'rollout_paused', decided_by: 'SQL' },
      { event: 'rollout_resumed', decided_by: 'SQL' },
    ]);
  });

  test('can be resumed by an operator too', async () => {
    await service.tick();
    expect(await resumeRollout(db.app, why, service.now)).toBe(true);
    service.absent.clear();
    expect(await service.tick()).toEqual(['d1', 'd2', 'd3']);
  });
});

test('a paused draft is a draft again when it is resumed', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, is_active: false });
  await stopRollout(db.app, why, service.now);
  await resumeRollout(db.app, why, service.now);
  expect(await service.tick()).toEqual([]);
  await set('is_active = true');
  expect(await service.tick()).toEqual(['d0']);
});

test('the link of a halted rollout stops working before the next tick', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_attempts: 1 });
  await service.tick();
  await stopRollout(db.app, why, service.now);
  expect(await service.fetch('d0')).toBe('over');
  await service.result('d0', 2);
  expect(await countByStatus()).toEqual({ canceled: 1 });
});

test('the link of a revoked release stops working, and later failures do not count', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_attempts: 1 });
  await service.tick();
  await db.app.query(`UPDATE firmware_releases SET revoked_at = now(), revoked_reason = 'bad'`);
  expect(await service.fetch('d0')).toBe('over');
  await service.result('d0', 2);
  expect(await countByStatus()).toEqual({ canceled: 1 });
});

describe('a rollout that is edited after it has assigned devices', () => {
  beforeEach(async () => {
    await addRelease(db.app, '2.0.1');
    await addDevices(db.app, 3);
    await db.app.query(`INSERT INTO device_groups SELECT device_id, 'vans' FROM devices`);
    for (const device of ['d0', 'd1', 'd2']) service.absent.add(device);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, target_type: 'group', target_filter: { groups: ['vans'] } });
    await service.tick();
    service.absent.clear();
  });
  async function wakeAll(): Promise<string[]> {
    for (const device of ['d0', 'd1', 'd2']) await service.status(device, '1.0.0');
    return service.sent.map(({ deviceId, version }) => `${deviceId} ${version}`);
  }

  test('sends nothing to devices that its filter no longer targets', async () => {
    await set(`target_filter = '{"groups": ["vans"], "device_ids": ["d1"]}'`);
    expect(await wakeAll()).toEqual(['d1 2.0.0']);
    expect(await countByStatus()).toEqual({ canceled: 2, sent: 1 });
  });

  test('sends nothing to a device that left its group, until it returns', async () => {
    await db.app.query(`DELETE FROM device_groups WHERE device_id = 'd2'`);
    expect(await wakeAll()).toEqual(['d0 2.0.0', 'd1 2.0.0']);
    await db.app.query(`INSERT INTO device_groups VALUES ('d2', 'vans')`);
    expect(await service.tick()).toEqual(['d2']);
  });

  test('sends no command for its previous version', async () => {
    await set(`firmware_version = '2.0.1'`);
    expect(await wakeAll()).toEqual([]);
    await service.tick();
    expect(await wakeAll()).toEqual(['d0 2.0.1', 'd1 2.0.1', 'd2 2.0.1']);
  });

  test('sends nothing to a device that turned out to be of another model', async () => {
    await db.app.query(
      `UPDATE devices SET device_model = 'esp32-c3', model_received_at = '2030-01-01' WHERE device_id = 'd0'`,
    );
    expect(await wakeAll()).toEqual(['d1 2.0.0', 'd2 2.0.0']);
  });

  test('sends nothing while its filter is invalid', async () => {
    await set(`target_filter = '{"gruops": ["vans"]}'`);
    expect(await wakeAll()).toEqual([]);
    await service.tick();
    const [rollout] = await db.app.query('SELECT paused_reason FROM rollout_configurations');
    expect(rollout?.paused_reason).toMatch(/gruops/);
  });
});

describe('a percentage that is edited while a rollout runs', () => {
  test.each([
    ['of a slow start', null],
    ['with stages', [{ percentage: 50 }]],
    ['with all devices at once', []],
  ])('%s targets more devices when it is raised, and keeps those already targeted', async (_, stages) => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { stages, rollout_percentage: 20 });
    const first = await service.tick();
    await service.succeed(...first);
    await set('rollout_percentage = 60');
    let succeeded = first.length;
    for (let ticks = 0; ticks < 30; ticks++) {
      await service.tick();
      await service.succeed(...service.sent.slice(succeeded).map(({ deviceId }) => deviceId));
      succeeded = service.sent.length;
    }
    expect(await countByStatus()).toEqual({ success: 12 });
    expect(await db.app.query('SELECT state FROM rollout_overview')).toEqual([{ state: 'completed' }]);
  });

  test('changes nothing when it is lowered', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, rollout_percentage: 50 });
    await service.tick();
    await set('rollout_percentage = 10');
    await service.tick();
    expect(await countByStatus()).toEqual({ sent: 10 });
  });
});

describe('stages that are edited while a rollout runs', () => {
  /** Every update succeeds while the rollout continues. */
  async function runToEnd(): Promise<unknown> {
    let succeeded = 0;
    for (let ticks = 0; ticks < 60; ticks++) {
      await service.tick();
      await service.succeed(...service.sent.slice(succeeded).map(({ deviceId }) => deviceId));
      succeeded = service.sent.length;
    }
    const [rollout] = await db.app.query(
      'SELECT paused_reason, completed_at IS NOT NULL AS is_completed FROM rollout_configurations',
    );
    return { ...rollout, ...(await countByStatus()) };
  }
  const STAGES = [{ percentage: 10 }, { percentage: 50 }];

  test.each([
    ['removed to update all devices at once', STAGES, "'[]'"],
    ['replaced by a slow start', STAGES, 'NULL'],
    ['shortened', [{ percentage: 10 }, { percentage: 20 }, { percentage: 30 }], `'[{"percentage": 10}]'`],
    ['added to a slow start to update all devices at once', null, "'[]'"],
  ])('%s: every targeted device is still updated', async (_, stages, edited) => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { stages });
    await service.tick();
    await set(`stages = ${edited}`);
    expect(await runToEnd()).toEqual({ paused_reason: null, is_completed: true, success: 20 });
  });

  test('added to a slow start that has already assigned all devices halt it with the reason', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0');
    await service.tick();
    await set(`stages = '[{"percentage": 50}]'`);
    await service.tick();
    const [rollout] = await db.app.query('SELECT paused_reason FROM rollout_configurations');
    expect(rollout?.paused_reason).toMatch(/cannot be given stages/);
  });
});

describe('an invalid row halts only its own rollout, with the reason:', () => {
  test.each([
    [
      'a filter that is too large to be read',
      { target_filter: { device_ids: Array.from({ length: 4_000 }, (_, n) => `ESP32-${String(n).padStart(8, '0')}`) } },
      /bytes of JSON, at most 49152 can be read; put the devices into a group$/,
    ],
    [
      'stages that are too large to be read',
      { stages: Array.from({ length: 4_000 }, (_, n) => ({ count: n + 1 })) },
      /^stages: \d+ bytes of JSON, at most 7168 can be read$/,
    ],
    [
      'a send window that is too large to be read',
      { send_window: { from: '10:00', to: '11:00', note: 'x'.repeat(100_000) } },
      /^send_window: \d+ bytes of JSON, at most 1024 can be read$/,
    ],
  ])('%s', async (_, columns, reason) => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'good', '2.0.0', { ...AT_ONCE });
    const bad = await addRollout(db.app, 'bad', '2.0.0', { ...AT_ONCE, ...columns });
    await service.tick();
    await service.tick();
    expect(service.sent).toHaveLength(1);
    const [row] = await db.app.query('SELECT paused_reason, paused_by FROM rollout_configurations WHERE id = :bad', {
      bad,
    });
    expect(row).toEqual({ paused_reason: expect.stringMatching(reason), paused_by: 'orchestrator' });
  });
});

test('a rollout whose tick fails is reported and does not prevent others from running', async () => {
  await addDevices(db.app, 1);
  const bad = await addRollout(db.app, 'bad', '2.0.0', {
    ...AT_ONCE,
    priority: 5,
    target_filter: { versions: ['0.1'] },
  });
  await addRollout(db.app, 'good', '2.0.0', AT_ONCE);
  const failing: Sql = {
    async query(sql, values) {
      if (sql.includes('AS higher_priority_digest') && values?.id === bad) throw new Error('the answer is too large');
      return db.app.query(sql, values);
    },
  };
  const tick = await runTick(failing, service.now, async () => {});
  expect(tick.problems).toMatchObject([{ rolloutId: bad, error: { message: 'the answer is too large' } }]);
  expect(tick.rollouts).toMatchObject([{ rollout: 'good', assigned: 1 }]);
});
