import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { evidenceOf, loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { listLateRollbacks, listUnverified } from '../../../core/updates/index.ts';
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

const AT_ONCE = { stages: [], keep_open: true };
const updateOf = async (device: string) =>
  (
    await db.app.query('SELECT * FROM device_update_status WHERE device_id = :device ORDER BY id DESC LIMIT 1', {
      device,
    })
  )[0];

describe('a device that leaves a version after it has proven it', () => {
  beforeEach(async () => {
    await addDevices(db.app, 5);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    const sent = await service.tick();
    await service.succeed(...sent);
    service.later(600);
    await service.statuses(['d0', 'd1', 'd2', 'd3'], '1.0.0', 20);
  });

  test('needs attention, with its rollout, the number of devices and the first of them', async () => {
    expect(await listLateRollbacks(db.app, service.now)).toEqual([
      { rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', devices: 4, examples: ['d0', 'd1', 'd2'] },
    ]);
  });

  test('does not need attention any more once it is back on the version', async () => {
    service.later(5);
    await service.statuses(['d0', 'd1'], 'v2.0.0', 20);
    expect(await listLateRollbacks(db.app, service.now)).toMatchObject([{ devices: 2, examples: ['d2', 'd3'] }]);
  });

  test('does not need attention any more once it has proven another version', async () => {
    await addRelease(db.app, '2.0.1');
    await addRollout(db.app, 'next', '2.0.1', { ...AT_ONCE, priority: 5 });
    const sent = await service.tick();
    await service.succeed(...sent);
    expect(await listLateRollbacks(db.app, service.now)).toEqual([]);
  });

  test('does not need attention any more after seven days', async () => {
    service.later(7 * 24 * 60 + 1);
    expect(await listLateRollbacks(db.app, service.now)).toEqual([]);
  });
});

describe('a device that reports a failed verification and then runs the version', () => {
  const evidence = async () => {
    const rollout = await loadRolloutRuntime(db.app, 1);
    if (rollout === undefined) throw new Error('no rollout 1');
    return evidenceOf(rollout, '2.0.0');
  };
  beforeEach(async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 3);
    service.later(1);
  });
  const boot = () => service.status('d0', '2.0.0', 20);

  test('runs unverified bytes: its failure still counts and is not a late success', async () => {
    await boot();
    expect(await updateOf('d0')).toMatchObject({
      status: 'failed',
      cause: 'build',
      late_success_at: null,
      unverified_at: service.now,
    });
    expect(await evidence()).toMatchObject({ failed: 1, proven: 0 });
    expect(await listUnverified(db.app)).toEqual([
      { rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', devices: 1, examples: ['d0'] },
    ]);
  });

  test('is explained, and has it in its timeline', async () => {
    await boot();
    expect(await explainDevice(db.app, 1, 'd0', service.now)).toMatchObject({
      rule: 'runs 2.0.0, although it reported that the verification of the image failed: unverified bytes are running',
      since: service.now,
    });
    const rows = await db.app.query(
      `SELECT event FROM device_timeline WHERE device_id = 'd0' ORDER BY at DESC LIMIT 1`,
    );
    expect(rows).toEqual([{ event: 'unverified_bytes' }]);
  });

  test('is found once, however often it reports', async () => {
    await boot();
    const at = service.now;
    service.later(1);
    await boot();
    expect(await updateOf('d0')).toMatchObject({ unverified_at: at });
  });

  test('needs no attention while it stays on the version before, or has left it', async () => {
    await service.status('d0', '1.0.0', 2000);
    expect(await listUnverified(db.app)).toEqual([]);
    service.later(1);
    await boot();
    service.later(1);
    await service.status('d0', '1.0.0', 5);
    expect(await listUnverified(db.app)).toEqual([]);
  });

  test('is found although the result is processed after the status', async () => {
    await service.fetch('d1');
    await service.status('d1', '2.0.0', 20);
    service.later(-0.5);
    await service.result('d1', 3);
    service.later(1);
    expect(await updateOf('d1')).toMatchObject({ status: 'failed', cause: 'build' });
    await service.status('d1', '2.0.0', 60);
    expect(await updateOf('d1')).toMatchObject({ status: 'failed', late_success_at: null, unverified_at: service.now });
  });
});

test('a device that began an update by itself and boots unverified bytes needs attention', async () => {
  await addDevices(db.app, 1);
  await service.result('d0', 3);
  await db.app.query(`UPDATE device_update_status SET firmware_version = '3.0.0'`);
  service.later(1);
  await service.status('d0', '3.0.0', 10);
  expect(await listUnverified(db.app)).toMatchObject([{ rollout_id: null, examples: ['d0'] }]);
  expect(await updateOf('d0')).toMatchObject({ late_success_at: null });
});
