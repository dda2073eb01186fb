import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { resumeRollout, retryFailed, stopRollout } from '../../../core/rollouts/rollout-control.ts';
import { evidenceOf } from '../../../core/rollouts/rollout-evidence.ts';
import { loadRolloutRuntime } from '../../../core/rollouts/rollout-runtime.ts';
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
const why = { rolloutId: 1, reason: 'because', by: 'an operator' };
const pausedReason = async () =>
  (await db.app.query<{ paused_reason: string | null }>('SELECT paused_reason FROM rollout_configurations'))[0]
    ?.paused_reason;
const evidence = async () => {
  const rollout = await loadRolloutRuntime(db.app, 1);
  if (rollout === undefined) throw new Error('no rollout 1');
  return evidenceOf(rollout, '2.0.0');
};

describe('gates that are reset', () => {
  test('still count open downloads: one failure of many does not halt the rollout again', async () => {
    await addDevices(db.app, 6);
    await addRollout(db.app, 'r', '2.0.0', { stages: [{ percentage: 100, min_success_rate: 0 }], min_reports: 3 });
    await service.tick();
    for (let n = 0; n < 6; n++) await service.fetch(`d${n}`);
    await stopRollout(db.app, why, service.now);
    await service.tick();
    await resumeRollout(db.app, why, service.now);
    await service.fail('d0');
    await service.tick();
    expect(await evidence()).toMatchObject({ underWay: 5, failed: 1 });
    expect(await pausedReason()).toBeNull();
  });

  test('let a slow start grow only after enough new results', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0');
    const [first = ''] = await service.tick();
    await service.fetch(first);
    await stopRollout(db.app, why, service.now);
    await resumeRollout(db.app, why, service.now);
    await service.succeed(first, ...(await service.tick()));
    await service.tick();
    await service.tick();
    const [stage] = await db.app.query('SELECT start_quota FROM rollout_stages ORDER BY stage DESC LIMIT 1');
    expect(stage).toEqual({ start_quota: 1 });
  });

  test('forget the version that the image embedded', async () => {
    await addDevices(db.app, 5);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1 });
    await service.tick();
    for (const device of ['d0', 'd1']) {
      await service.fetch(device);
      await service.result(device, 0);
    }
    service.later(1);
    for (const device of ['d0', 'd1']) await service.status(device, '2.0.0-rc1');
    await service.tick();
    expect(await pausedReason()).toMatch(/embeds version/);
    await resumeRollout(db.app, why, service.now);
    expect(await service.tick()).toHaveLength(3);
    expect(await pausedReason()).toBeNull();
  });

  test('are not affected by late successes of devices that failed before', async () => {
    await addDevices(db.app, 4);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1, keep_open: true });
    await service.tick();
    for (const device of ['d0', 'd1']) await service.fail(device);
    await stopRollout(db.app, why, service.now);
    await service.tick();
    service.later(1);
    await resumeRollout(db.app, why, service.now);
    await service.tick();
    await service.fail('d2');
    service.later(1);
    await service.tick();
    for (const device of ['d0', 'd1']) await service.status(device, '2.0.0');
    expect(await evidence()).toMatchObject({ failed: 1, proven: 0 });
    const late = await db.app.query('SELECT device_id FROM device_update_status WHERE late_success_at IS NOT NULL');
    expect(late).toEqual([{ device_id: 'd0' }, { device_id: 'd1' }]);
  });
});

test('a device that succeeds in a retry is not a late success', async () => {
  await addDevices(db.app, 2);
  await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1, keep_open: true });
  await service.tick();
  for (const device of ['d0', 'd1']) await service.fail(device);
  await service.tick();
  service.later(1);
  expect(await retryFailed(db.app, why, ['1.0.0'], service.now)).toBe(2);
  await service.tick();
  await service.succeed('d0');
  await service.fail('d1');
  await service.tick();
  await service.status('d0', '2.0.0');
  expect(await db.app.query('SELECT id FROM device_update_status WHERE late_success_at IS NOT NULL')).toEqual([]);
  expect(await evidence()).toEqual({ underWay: 0, proven: 1, failed: 1, silent: 0, undelivered: 0 });
});
