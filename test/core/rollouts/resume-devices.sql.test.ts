import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addDevices(db.app, 20);
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
});

/** Runs a rollout until it has halted itself, because every device fails. */
async function untilHalted(id: number): Promise<void> {
  for (let minute = 0; minute < 20 && (await client.rollout(id)).state !== 'halted'; minute++) {
    await service.fail(...(await service.tick()));
    service.later(1);
  }
}

test.each<[string, Record<string, unknown>]>([
  ['a stage of a plan', { stages: [{ count: 3 }, { percentage: 100 }] }],
  ['a wave of a slow start', {}],
])('a halted rollout says how many devices a resumption sends to: %s', async (_, columns) => {
  const id = await addRollout(db.app, 'bad', '2.0.0', columns);
  await untilHalted(id);
  const { state, resume_devices: most } = await client.rollout(id);
  expect(state).toBe('halted');
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(5);
  await client.act(id, 'resume', 'once more');
  expect(await service.tick()).toHaveLength(most ?? 0);
  expect(await client.rollout(id)).toMatchObject({ state: 'active', resume_devices: null });
});

test('a paused rollout counts the devices whose updates the pause canceled', async () => {
  const id = await addRollout(db.app, 'paused', '2.0.0', { stages: [] });
  await service.tick();
  await client.act(id, 'pause', 'lunch');
  await service.tick();
  expect(await client.rollout(id)).toMatchObject({ state: 'paused', resume_devices: 20 });
  await client.act(id, 'resume', 'lunch is over');
  expect(await service.tick()).toHaveLength(20);
});
