import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { getRollout } from '../../../core/rollouts/index.ts';
import { stopRollout } from '../../../core/rollouts/rollout-control.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(() => db.empty());

const stage = async () => (await getRollout(db.app, '1'))?.stage;

test('a rollout has no stage before its first begins, even if it was paused in between', async () => {
  const service = new TestService(db.app, db.roles);
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 2);
  await addRollout(db.app, 'r', '2.0.0');
  expect(await stage()).toBeNull();
  await stopRollout(db.app, { rolloutId: 1, reason: 'lunch', by: 'an operator' }, service.now);
  expect(await stage()).toBeNull();
  await db.app.query('UPDATE rollout_configurations SET paused_at = NULL');
  await service.tick();
  expect(await stage()).toBe(0);
});
