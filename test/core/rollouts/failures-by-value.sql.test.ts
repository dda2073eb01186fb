import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { loadEvidenceByValue, loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { evidenceOf } from '../../../core/rollouts/rollout-evidence.ts';
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
  service = new TestService(db.app, db.roles);
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 40, { prefix: 'b' });
  await addDevices(db.app, 6, { prefix: 'a' });
  await db.app.query(
    `UPDATE devices SET facts = jsonb_build_object('board_revision', CASE WHEN device_id LIKE 'a%' THEN 'A' ELSE 'B' END)`,
  );
});

const ofKind = (kind: string, devices: readonly string[]) => devices.filter((device) => device.startsWith(kind));
const AT_ONCE = { stages: [], max_attempts: 1, probation_minutes: 0 };

async function situation(id: number) {
  const [row] = await db.app.query<{ paused_reason: string | null; reason: string | null }>(
    `SELECT r.paused_reason, (SELECT t.reason FROM rollout_timeline AS t WHERE t.rollout_id = r.id AND t.event = 'rollout_halted') AS reason
     FROM rollout_configurations AS r WHERE r.id = :id`,
    { id },
  );
  return row;
}

test('a halt names the board revision of the devices that failed', async () => {
  const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_count: 5 });
  const sent = await service.tick();
  await service.succeed(...ofKind('b', sent).slice(0, 20));
  for (const device of ofKind('a', sent).slice(0, 5)) await service.fail(device);
  await service.tick();
  const because =
    '5 of 46 devices failed; the rollout allows fewer than 5. All 5 failed devices are among the 6 of 46 devices with facts.board_revision=A';
  expect(await situation(id)).toEqual({ paused_reason: because, reason: because });
});

test('a halt names nothing if the failures are spread over the kinds of devices', async () => {
  const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_count: 5 });
  const sent = await service.tick();
  for (const device of ofKind('b', sent).slice(0, 5)) await service.fail(device);
  await service.tick();
  expect((await situation(id))?.paused_reason).toBe('5 of 46 devices failed; the rollout allows fewer than 5');
});

test('a covered value whose devices fail halts the rollout, also within its limits; another name does not', async () => {
  const limits = { ...AT_ONCE, failure_threshold: 1, stages: [{ percentage: 100 }] };
  const covers = ['facts.board_revision'];
  const id = await addRollout(db.app, 'r', '2.0.0', { ...limits, first_stage_covers: covers });
  const sent = await service.tick();
  await service.succeed(...ofKind('b', sent));
  const [first = '', second = '', third = '', fourth = ''] = ofKind('a', sent);
  for (const device of [first, second, third]) await service.fail(device);
  await service.tick();
  expect((await situation(id))?.paused_reason).toBeNull();
  await service.fail(fourth);
  await service.tick();
  expect((await situation(id))?.paused_reason).toBe(
    '4 of 6 devices with facts.board_revision=A failed, and 0 of the other 40; at most half of the devices with a covered value may fail',
  );
});

test('the same failures do not halt a rollout that covers no name, or another', async () => {
  const limits = { ...AT_ONCE, failure_threshold: 1, stages: [{ percentage: 100 }] };
  const id = await addRollout(db.app, 'r', '2.0.0', { ...limits, first_stage_covers: ['attributes.site'] });
  const sent = await service.tick();
  for (const device of ofKind('a', sent)) await service.fail(device);
  await service.tick();
  expect((await situation(id))?.paused_reason).toBeNull();
});

test('the evidence by value counts what the gates count', async () => {
  const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1 });
  const [one = '', two = '', three = '', four = '', ...rest] = await service.tick();
  await service.succeed(one);
  await service.fail(two);
  // Declined, and not delivered: in no number, and in one of its own.
  await service.result(three, 10);
  await service.result(four, 2);
  await service.boot(...rest.slice(0, 3));
  const rollout = await loadRolloutRuntime(db.app, id);
  if (rollout === undefined) throw new Error('no rollout');
  const { total } = await loadEvidenceByValue(db.app, rollout, '2.0.0', null);
  expect(total).toEqual(evidenceOf(rollout, '2.0.0'));
  expect(total).toEqual({ underWay: 40, proven: 4, failed: 1, silent: 0, undelivered: 1 });
});
