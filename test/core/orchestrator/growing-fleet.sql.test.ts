import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
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
  // The database's clock says when a device registers.
  service.now = new Date();
});

async function devicesOf(rollout: number): Promise<number> {
  const [row] = await db.app.query<{ devices: number }>(
    'SELECT count(DISTINCT device_id)::integer AS devices FROM device_update_status WHERE rollout_id = :rollout',
    { rollout },
  );
  return row?.devices ?? 0;
}

/** Adds devices in two steps, with ticks between them. */
async function grow(devices: number): Promise<void> {
  for (const prefix of ['later', 'last']) {
    await addDevices(db.app, devices / 2, { prefix });
    await service.tick();
  }
}

/** Ticks, and lets each device that gets a command succeed. */
async function run(ticks: number): Promise<void> {
  for (let tick = 0; tick < ticks; tick++) {
    await service.succeed(...(await service.tick()));
    service.later(1);
  }
}

async function isCompleted(id: number): Promise<boolean> {
  const [row] = await db.app.query(
    'SELECT id FROM rollout_configurations WHERE id = :id AND completed_at IS NOT NULL',
    {
      id,
    },
  );
  return row !== undefined;
}

describe('a percentage of a fleet that grows to a thousand', () => {
  test.each([
    [1, 0],
    [1, 10],
    [10, 0],
    [10, 1],
    [10, 10],
    [50, 1],
    [50, 10],
  ])('of %i, of which %i had registered, takes in its share', async (percentage, registered) => {
    const columns = { stages: [], rollout_percentage: percentage, keep_open: true, failure_threshold: 1 };
    const id = await addRollout(db.app, 'share', '2.0.0', columns);
    if (registered > 0) await addDevices(db.app, registered);
    await service.tick();
    const first = await devicesOf(id);
    expect(first).toBe(registered === 0 ? 0 : Math.ceil((registered * percentage) / 100));
    await addDevices(db.app, 1, { prefix: 'next' });
    await service.tick();
    await grow(1_000 - registered);
    const expected = first + ((1_000 - registered) * percentage) / 100;
    const deviation = Math.sqrt(1_000 * (percentage / 100) * (1 - percentage / 100));
    expect(Math.abs((await devicesOf(id)) - expected)).toBeLessThan(3.5 * deviation + 1);
  });

  test('includes more of both kinds when it is raised', async () => {
    const id = await addRollout(db.app, 'share', '2.0.0', { stages: [], rollout_percentage: 10, keep_open: true });
    await addDevices(db.app, 10);
    await service.tick();
    await grow(200);
    await service.succeed(...service.sent.map(({ deviceId }) => deviceId));
    await db.app.query('UPDATE rollout_configurations SET rollout_percentage = 50');
    await service.tick();
    const [row] = await db.app.query<{ first: number; later: number }>(
      `SELECT (count(*) FILTER (WHERE device_id LIKE 'd%'))::integer AS first,
         (count(*) FILTER (WHERE device_id LIKE 'l%'))::integer AS later FROM device_update_status WHERE rollout_id = :id`,
      { id },
    );
    expect(row?.first).toBe(5);
    expect(Math.abs((row?.later ?? 0) - 100)).toBeLessThan(25);
  });
});

describe('a stage in a fleet that grows', () => {
  test.each([1, 5, 8])('of 5 devices sends to 5 at most if %i had registered', async (registered) => {
    const id = await addRollout(db.app, 'count', '2.0.0', { stages: [{ count: 5, soak_minutes: 600 }] });
    await addDevices(db.app, registered);
    await service.tick();
    await grow(1_000);
    await run(3);
    expect(await devicesOf(id)).toBe(Math.min(5, registered));
  });

  test('of 10% takes in a tenth of those that register later', async () => {
    const id = await addRollout(db.app, 'tenth', '2.0.0', { stages: [{ percentage: 10, soak_minutes: 600 }] });
    await addDevices(db.app, 1);
    await service.tick();
    await grow(1_000);
    expect(Math.abs((await devicesOf(id)) - 101)).toBeLessThan(34);
  });

  test('of 10, after one of 5, sends to 5 more', async () => {
    const stages = [{ count: 5 }, { count: 10, soak_minutes: 600 }];
    const id = await addRollout(db.app, 'counts', '2.0.0', { stages });
    await addDevices(db.app, 1);
    await service.tick();
    await grow(500);
    await run(12);
    expect(await devicesOf(id)).toBe(10);
  });

  test('replaces absent members by as many devices as are missing', async () => {
    const id = await addRollout(db.app, 'absent', '2.0.0', { stages: [{ count: 2, soak_minutes: 600 }] });
    await addDevices(db.app, 2);
    for (const device of ['d0', 'd1']) service.absent.add(device);
    await service.tick();
    await grow(500);
    service.later(25 * 60);
    await run(3);
    expect(await devicesOf(id)).toBe(4);
    await addDevices(db.app, 300, { prefix: 'newest' });
    await run(3);
    expect(await devicesOf(id)).toBe(4);
  });

  test('ends, and the rollout continues with all devices and completes', async () => {
    const id = await addRollout(db.app, 'ends', '2.0.0', { stages: [{ count: 5 }, { percentage: 50 }] });
    await addDevices(db.app, 3);
    await service.tick();
    await addDevices(db.app, 12, { prefix: 'later' });
    await run(20);
    expect(await devicesOf(id)).toBe(15);
    expect(await isCompleted(id)).toBe(true);
  });

  test('completes if its only outcome failed and no other device is there', async () => {
    const id = await addRollout(db.app, 'alone', '2.0.0', { stages: [{ count: 1 }] });
    await addDevices(db.app, 1);
    const [device = ''] = await service.tick();
    await service.fail(device);
    await run(10);
    expect(await isCompleted(id)).toBe(true);
  });

  test('takes in a device that registers after all others were used up, and no more than it needs', async () => {
    const id = await addRollout(db.app, 'open', '2.0.0', { stages: [{ count: 1, min_reports: 2 }], keep_open: true });
    await addDevices(db.app, 1);
    const [device = ''] = await service.tick();
    await service.fail(device);
    await run(4);
    await addDevices(db.app, 50, { prefix: 'later' });
    const sent: string[] = [];
    for (let tick = 0; tick < 3; tick++) sent.push(...(await service.tick()));
    expect(sent.length).toBe(2);
    expect(await devicesOf(id)).toBe(3);
  });
});

test('a device that registered later is told so by its explanation', async () => {
  const columns = { stages: [{ count: 1, soak_minutes: 600 }], rollout_percentage: 50 };
  const id = await addRollout(db.app, 'later', '2.0.0', columns);
  await addDevices(db.app, 4);
  await service.tick();
  await addDevices(db.app, 60, { prefix: 'later' });
  await service.tick();
  const rules: string[] = [];
  for (let n = 0; n < 60; n++) rules.push((await explainDevice(db.app, id, `later${n}`, service.now))?.rule ?? '');
  const outside = rules.filter((rule) =>
    /^is outside the targeted 50% \(it registered at .*, after the targets/.test(rule),
  );
  const waiting = rules.filter((rule) =>
    /^belongs to a later stage \(it registered at .*, after the targets/.test(rule),
  );
  expect(outside.length + waiting.length).toBe(60);
  expect(Math.abs(outside.length - 30)).toBeLessThan(14);
});
