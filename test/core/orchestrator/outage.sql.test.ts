import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeState } from '../../../core/explain/index.ts';
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

const seen = (condition: string) =>
  db.app.query(`UPDATE devices SET last_seen = :now::timestamptz, report_interval_seconds = 60 WHERE ${condition}`, {
    now: service.now,
  });
const stateOf = async () => (await db.app.query('SELECT state FROM rollout_overview'))[0]?.state;
const OUTAGE = /^waiting for silent devices to return: site or cloud outage suspected, because \d+ of \d+ devices/;

/** Four of twenty devices boot the new version; then they fall silent, with the others if it is an outage. */
async function fallSilent(isOutage: boolean): Promise<string[]> {
  await addDevices(db.app, 20);
  await seen('true');
  await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 4 }] });
  const sent = await service.tick();
  service.later(1);
  await seen('true');
  await service.boot(...sent);
  service.later(120);
  if (!isOutage) await seen(`current_firmware_version = '1.0.0'`);
  await service.tick();
  return sent;
}

test('a rollout whose devices fall silent alone is halted', async () => {
  await fallSilent(false);
  expect(await stateOf()).toBe('halted');
});

test('a rollout whose devices fall silent with all others holds, says so, and goes on when they return', async () => {
  const sent = await fallSilent(true);
  expect(sent).toHaveLength(4);
  expect(await stateOf()).toBe('active');
  expect(await describeState(db.app, 1, service.now)).toMatch(OUTAGE);
  service.later(600);
  await service.tick();
  expect(await stateOf()).toBe('active');
  await seen('true');
  await service.prove(...sent);
  await service.tick();
  expect(await describeState(db.app, 1, service.now)).not.toMatch(OUTAGE);
  // Late successes are no outcomes of the stage, so it takes the next devices in order after a day.
  service.later(24 * 60);
  await seen('true');
  await service.tick();
  await service.tick();
  expect(service.sent.length).toBeGreaterThan(4);
});
