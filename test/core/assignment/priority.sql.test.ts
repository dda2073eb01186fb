import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice, NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { abortRollout, resumeRollout, stopRollout } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { newRollout } from '../../support/preview.ts';
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
  await addRelease(db.app, '3.0.0');
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [] };
const why = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const draft = newRollout({
  firmware_version: '3.0.0',
  device_model: 'esp32-s3',
  target_type: 'all' as const,
  target_filter: {},
  rollout_percentage: 100,
  allow_downgrade: false,
  include_unknown: false,
  priority: 0,
  stepping_stones: null,
});

/** Ticks until nothing is sent; every update succeeds. */
async function runToEnd(): Promise<void> {
  for (let ticks = 0; ticks < 8; ticks++) await service.succeed(...(await service.tick()));
}
const sent = () => service.sent.map(({ deviceId, version }) => `${deviceId} ${version}`);

describe('a higher-priority rollout', () => {
  test('does not block later rollouts from its devices once it has ended', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'heavy', '2.0.0', { ...AT_ONCE, priority: 10 });
    await runToEnd();
    expect(await previewRollout(db.app, draft, NO_RULES)).toMatchObject({ willBeUpdated: 2, willNot: [] });
    await addRollout(db.app, 'later', '3.0.0', AT_ONCE);
    await runToEnd();
    expect(sent()).toEqual(['d0 2.0.0', 'd1 2.0.0', 'd0 3.0.0', 'd1 3.0.0']);
  });

  test('blocks other rollouts from the devices that it has updated while it runs', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'heavy', '2.0.0', { ...AT_ONCE, priority: 10, keep_open: true });
    await runToEnd();
    expect(await previewRollout(db.app, draft, NO_RULES)).toMatchObject({
      willBeUpdated: 0,
      willNot: [{ reason: 'on the version of rollout "heavy", which has a higher priority', devices: 1 }],
    });
    await addRollout(db.app, 'later', '3.0.0', AT_ONCE);
    await runToEnd();
    expect(sent()).toEqual(['d0 2.0.0']);
  });
});

describe('devices taken over by a newer rollout', () => {
  beforeEach(async () => {
    await addDevices(db.app, 2);
    service.absent.add('d0');
    service.absent.add('d1');
    await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
    await service.tick();
    await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
    await service.tick();
  });

  test('return to the older rollout when the newer one is stopped before it sends', async () => {
    await abortRollout(db.app, why(2), service.now);
    await service.tick();
    service.absent.clear();
    await service.status('d0', '1.0.0');
    await service.status('d1', '1.0.0');
    expect(sent()).toEqual(['d0 2.0.0', 'd1 2.0.0']);
  });

  test('are taken over again when the newer rollout resumes', async () => {
    await stopRollout(db.app, why(2), service.now);
    await service.tick();
    await service.tick();
    await resumeRollout(db.app, why(2), service.now);
    await service.tick();
    service.absent.clear();
    await service.status('d0', '1.0.0');
    expect(sent()).toEqual(['d0 3.0.0']);
  });
});

test('the older rollout updates a device on which an aborted newer rollout failed', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
  const newer = await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
  await service.tick();
  await service.fail('d0');
  await service.tick();
  expect(sent()).toEqual(['d0 3.0.0']);
  await abortRollout(db.app, why(newer), service.now);
  await service.tick();
  expect(sent()).toEqual(['d0 3.0.0', 'd0 2.0.0']);
});

describe('a newer rollout with a lower version', () => {
  const BACK = { ...AT_ONCE, allow_downgrade: true };

  test('keeps devices on their version if the older rollout has not sent to them yet', async () => {
    await addDevices(db.app, 3, { version: '2.0.0' });
    service.absent.add('d1');
    service.absent.add('d2');
    await addRollout(db.app, 'forwards', '3.0.0', AT_ONCE);
    await service.succeed(...(await service.tick()));
    await addDevices(db.app, 1, { version: '2.0.0', prefix: 'late' });
    await addRollout(db.app, 'back', '2.0.0', BACK);
    service.sent.length = 0;
    await service.succeed(...(await service.tick()));
    service.absent.clear();
    for (const device of ['d1', 'd2', 'late0']) await service.status(device, '2.0.0');
    await runToEnd();
    expect(sent()).toEqual(['d0 2.0.0']);
    expect(await db.app.query('SELECT state FROM rollout_overview ORDER BY rollout_id')).toEqual([
      { state: 'completed' },
      { state: 'completed' },
    ]);
  });

  test('does not affect devices that it does not target', async () => {
    await addDevices(db.app, 2, { version: '2.0.0' });
    await addRollout(db.app, 'forwards', '3.0.0', AT_ONCE);
    const filter = { target_type: 'specific', target_filter: { device_ids: ['d0'] } };
    await addRollout(db.app, 'back', '2.0.0', { ...BACK, ...filter });
    await runToEnd();
    expect(sent()).toEqual(['d1 3.0.0']);
  });

  test('keeps no device once it is aborted', async () => {
    await addDevices(db.app, 1, { version: '2.0.0' });
    await addRollout(db.app, 'forwards', '3.0.0', AT_ONCE);
    const back = await addRollout(db.app, 'back', '2.0.0', BACK);
    await service.tick();
    await service.tick();
    expect(sent()).toEqual([]);
    await abortRollout(db.app, why(back), service.now);
    await service.tick();
    expect(sent()).toEqual(['d0 3.0.0']);
  });
});

test('an older rollout does not take back a device that registered with the version of a newer one', async () => {
  await addDevices(db.app, 1, { version: '3.0.0' });
  const older = await addRollout(db.app, 'older', '2.0.0', { ...AT_ONCE, allow_downgrade: true });
  await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
  await service.tick();
  expect(sent()).toEqual([]);
  expect(await explainDevice(db.app, older, 'd0', service.now)).toMatchObject({
    rule: 'is on 3.0.0, which is the target of a higher-priority rollout, "newer"',
  });
});
