import { afterAll, beforeAll, expect, test } from 'vitest';
import { listStalledRollouts } from '../../../core/explain/index.ts';
import { advanceRollout, getRollout } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

test('a stage that waits for a person sends nothing more, for days, until somebody advances the rollout', async () => {
  const service = new TestService(db.app, db.roles);
  await addDevices(db.app, 10);
  await addRelease(db.app, '2.0.0');
  const stages = [{ count: 2, soak_minutes: 30, until: 'a person advances' }];
  const rolloutId = await addRollout(db.app, 'r', '2.0.0', { stages });
  const first = await service.tick();
  expect(first).toHaveLength(2);
  await service.succeed(...first);
  await service.tick();
  for (let day = 0; day < 3; day++) {
    service.later(24 * 60);
    expect(await service.tick()).toEqual([]);
  }
  expect(await listStalledRollouts(db.app, service.now)).toMatchObject([
    { waitingFor: 'a person to advance it: its stage has met its gate', isBlocked: false },
  ]);
  const change = { rolloutId, reason: 'the two boards on the bench are well', by: 'ann' };
  expect(await advanceRollout(db.roles.control, change, service.now)).toBe(true);
  expect(await service.tick()).toHaveLength(8);
  expect(await getRollout(db.app, 'r')).toMatchObject({ state: 'active', stage: 1 });
});
