import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { describeState, explainDevice } from '../../../core/explain/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

const AT_ONCE = { stages: [] };
/** More than the gate of a rollout without history allows. */
const BROKEN = Array.from({ length: 14 }, (_, n) => `d${n}`).sort();
const stateOf = async (name: string) => {
  const [row] = await db.app.query<{ state: string }>('SELECT state FROM rollout_overview WHERE name = :name', {
    name,
  });
  return row?.state;
};
const setApart = async (name: string) => {
  const rows = await db.app.query<{ device_id: string }>(
    `SELECT device_id FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
     WHERE r.name = :name AND u.failed_before ORDER BY device_id`,
    { name },
  );
  return rows.map(({ device_id }) => device_id);
};
/** Ends a rollout to 40 devices in which some boards fail. */
async function finishFirstRollout(): Promise<void> {
  await addRollout(db.app, 'first', '2.0.0', { ...AT_ONCE, failure_threshold: 1 });
  const sent = await service.tick();
  await service.fail(...BROKEN);
  await service.succeed(...sent.filter((device) => !BROKEN.includes(device)));
  await service.tick();
  service.later(10);
  await service.tick();
}

describe('boards that failed in a rollout that others finished', () => {
  beforeEach(async () => {
    await db.empty();
    await addRelease(db.app, '2.0.0');
    await addRelease(db.app, '3.0.0');
    await addDevices(db.app, 40);
    service = new TestService(db.app, db.roles);
    await finishFirstRollout();
    expect(await stateOf('first')).toBe('completed');
  });

  test('are set apart in the next rollout: their failures do not halt it', async () => {
    await addRollout(db.app, 'second', '3.0.0', AT_ONCE);
    await service.tick();
    expect(await setApart('second')).toEqual(BROKEN);
    await service.fail(...BROKEN);
    await service.tick();
    expect(await stateOf('second')).toBe('active');
    expect(await describeState(db.app, 2, service.now)).toContain('14 devices that failed before are not counted');
    const explained = JSON.stringify(await explainDevice(db.app, 2, 'd0', service.now));
    expect(explained).toContain('It failed in its last rollout, too');
  });

  test('do not hide a build that fails on the others', async () => {
    await addRollout(db.app, 'second', '3.0.0', AT_ONCE);
    await service.tick();
    const others = service.sent.slice(-40).map(({ deviceId }) => deviceId);
    await service.fail(...others.filter((device) => !BROKEN.includes(device)).slice(0, 14));
    await service.tick();
    expect(await stateOf('second')).toBe('halted');
  });

  test('are set apart no longer once a rollout has updated them', async () => {
    await addRollout(db.app, 'second', '3.0.0', AT_ONCE);
    await service.succeed(...(await service.tick()));
    await service.tick();
    service.later(10);
    await service.tick();
    expect(await stateOf('second')).toBe('completed');
    await addRelease(db.app, '4.0.0');
    await addRollout(db.app, 'third', '4.0.0', AT_ONCE);
    await service.tick();
    expect(await setApart('third')).toEqual([]);
  });
});

test('boards that failed in a rollout that was halted are not set apart: its build was bad', async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  await addDevices(db.app, 20);
  service = new TestService(db.app, db.roles);
  await addRollout(db.app, 'first', '2.0.0', AT_ONCE);
  await service.fail(...(await service.tick()).slice(0, 9));
  await service.tick();
  expect(await stateOf('first')).toBe('halted');
  await addRollout(db.app, 'second', '3.0.0', AT_ONCE);
  await service.tick();
  expect(await setApart('second')).toEqual([]);
});
