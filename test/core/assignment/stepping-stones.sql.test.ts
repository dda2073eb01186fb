import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { NO_SIGNATURE_REQUIRED } from '../../../core/release-policy/index.ts';
import { getRollout, listRolloutDecisions } from '../../../core/rollouts/index.ts';
import { expireUpdates } from '../../../core/updates/index.ts';
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
  await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [] };
const sent = () => service.sent.map(({ deviceId, version }) => `${deviceId} ${version}`);
const overview = async () => (await db.app.query('SELECT state, succeeded, failed FROM rollout_overview'))[0];

describe('a stepping stone', () => {
  test('is followed by the target, also if the filter names the original versions', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '3.0.0', { ...AT_ONCE, target_filter: { versions: ['1.0.0'] } });
    await service.succeed(...(await service.tick()));
    await expireUpdates(db.app, service.now);
    expect(await explainDevice(db.app, id, 'd0', service.now)).toMatchObject({ next: 'it continues to 3.0.0' });
    await service.succeed(...(await service.tick()));
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(sent()).toEqual(['d0 2.0.0', 'd0 3.0.0']);
    expect(await overview()).toEqual({ state: 'completed', succeeded: 2, failed: 0 });
  });

  test('is never used as a downgrade, even if downgrades are allowed', async () => {
    await addDevices(db.app, 1);
    service.absent.add('d0');
    await addRollout(db.app, 'r', '3.0.0', { ...AT_ONCE, allow_downgrade: true });
    await service.tick();
    service.absent.clear();
    await service.status('d0', '2.5.0');
    expect(sent()).toEqual([]);
    expect(await service.tick()).toEqual(['d0']);
    expect(sent()).toEqual(['d0 3.0.0']);
  });

  test('that fails on a device ends its updates and lets the rollout complete', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '3.0.0', { ...AT_ONCE, failure_threshold: 1 });
    await service.tick();
    await service.fail('d0');
    for (let ticks = 0; ticks < 8; ticks++) {
      await service.tick();
      service.later(1);
    }
    expect(sent()).toEqual(['d0 2.0.0']);
    expect(await overview()).toEqual({ state: 'completed', succeeded: 0, failed: 1 });
  });

  test('is not assigned repeatedly to a device that rolls back from it', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    await service.succeed(...(await service.tick()));
    service.later(1);
    await service.status('d0', '1.0.0');
    for (let ticks = 0; ticks < 8; ticks++) {
      await service.tick();
      service.later(1);
    }
    expect(sent()).toEqual(['d0 2.0.0']);
    expect(await overview()).toMatchObject({ state: 'completed' });
  });
});

describe('the stepping stones of a rollout', () => {
  test('do not change when a release is registered while it runs', async () => {
    await addDevices(db.app, 2);
    const id = await addRollout(db.app, 'r', '3.0.0', { ...AT_ONCE, max_in_flight: 1 });
    const first = await service.tick();
    await addRelease(db.app, '2.9.9');
    await service.succeed(...first);
    for (let ticks = 0; ticks < 6; ticks++) await service.succeed(...(await service.tick()));
    expect(sent().sort()).toEqual(['d0 2.0.0', 'd0 3.0.0', 'd1 2.0.0', 'd1 3.0.0']);
    const [row] = await db.app.query('SELECT stepping_stones FROM rollout_configurations WHERE id = :id', { id });
    expect(row).toEqual({ stepping_stones: ['2.0.0'] });
  });

  test('of a row that SQL wrote are decided by the first tick, from releases that were registered before the row', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    await addRelease(db.app, '2.9.9');
    expect(await service.tick()).toEqual(['d0']);
    expect(sent()).toEqual(['d0 2.0.0']);
    const decisions = await listRolloutDecisions(db.app, id);
    expect(decisions.find(({ event }) => event === 'rollout_stepping_stones_decided')).toMatchObject({
      reason: '3.0.0 needs at least 2.0.0; older devices go by way of 2.0.0',
      decided_by: 'orchestrator',
      detail: { steppingStones: ['2.0.0'] },
    });
  });

  test('are decided again when the version of the rollout is changed', async () => {
    await addRelease(db.app, '4.0.0', { minVersion: '3.0.0' });
    await addDevices(db.app, 1);
    service.absent.add('d0');
    const id = await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    await service.tick();
    await db.app.query("UPDATE rollout_configurations SET firmware_version = '4.0.0' WHERE id = :id", { id });
    await addRelease(db.app, '3.9.9');
    for (let ticks = 0; ticks < 3; ticks++) {
      service.later(1);
      await service.tick();
    }
    const [row] = await db.app.query('SELECT stepping_stones FROM rollout_configurations WHERE id = :id', { id });
    expect(row).toEqual({ stepping_stones: ['3.0.0', '2.0.0'] });
  });

  test('are never a pre-release or a build of changed sources', async () => {
    await addRelease(db.app, '2.9.0-rc.1');
    await addRelease(db.app, '2.8.0-dirty');
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    await addRollout(db.app, 'named', '3.0.0', { ...AT_ONCE, stepping_stones: ['2.9.0-rc.1'], priority: 1 });
    for (let ticks = 0; ticks < 2; ticks++) await service.tick();
    expect(sent()).toEqual(['d0 2.0.0']);
  });

  test('are signed where the model requires signatures', async () => {
    await db.app.query("UPDATE firmware_releases SET signing_key = 'a key' WHERE version = '3.0.0'");
    await addRelease(db.app, '1.5.0');
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    service.trust = {
      ...NO_SIGNATURE_REQUIRED,
      whyDistrusted: (_, { signing_key: key }) => (key === null ? 'no trusted key signed it' : null),
    };
    expect(await service.tick()).toEqual([]);
    expect(await explainDevice(db.app, id, 'd0', service.now, service.trust)).toMatchObject({
      rule: 'is on 1.0.0; 3.0.0 needs at least 2.0.0, and the rollout has no stepping stone that leads there',
      next: 'nothing: the stepping stones of a rollout are decided when it is created',
    });
  });

  test('that are not a list halt the rollout', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '3.0.0', { ...AT_ONCE, stepping_stones: { a: 1 } });
    await service.tick();
    expect((await getRollout(db.app, String(id)))?.paused_reason).toMatch(/^stepping_stones: /);
  });
});

test('the stages of a rollout for named versions keep their share of all devices that started on those versions', async () => {
  await addDevices(db.app, 20);
  const stages = [{ percentage: 50 }, { percentage: 75 }];
  await addRollout(db.app, 'r', '2.0.0', { stages, target_filter: { versions: ['1.0.0'] } });
  const sizes: number[] = [];
  for (let ticks = 0; ticks < 12; ticks++) {
    const devices = await service.tick();
    if (devices.length > 0) sizes.push(devices.length);
    await service.succeed(...devices);
  }
  expect(sizes).toEqual([10, 5, 5]);
});
