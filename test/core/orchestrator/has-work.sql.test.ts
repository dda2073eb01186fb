import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { takeLease } from '../../../core/db/index.ts';
import { hasWork } from '../../../core/orchestrator/has-work.ts';
import { abortRollout, resumeRollout, stopRollout } from '../../../core/rollouts/index.ts';
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
  await takeLease(db.app, 'housekeeping', 'a test', service.now, 365 * 86_400);
});

const why = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const published = () =>
  db.app.query('UPDATE ota_events SET published_at = now() WHERE device_id IS NULL AND published_at IS NULL');
const hasNoWork = async () => {
  await published();
  return !(await hasWork(db.app, service.now));
};

test('a fleet that only sends heartbeats gives the orchestrator no work', async () => {
  await addDevices(db.app, 3);
  await service.status('d0', '1.0.0');
  expect(await hasNoWork()).toBe(true);
});

test('there is work from the creation of a rollout until its last device has finished', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  expect(await hasNoWork()).toBe(false);
  await service.tick();
  await service.succeed('d0');
  expect(await hasNoWork()).toBe(false);
  service.later(10);
  await service.tick();
  await service.tick();
  expect(await hasNoWork()).toBe(true);
});

test('a stopped rollout is no work once its pending updates are canceled, and is work again when it is resumed', async () => {
  await addDevices(db.app, 2);
  const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  await stopRollout(db.app, why(id), service.now);
  expect(await hasNoWork()).toBe(false);
  await service.tick();
  await service.tick();
  expect(await hasNoWork()).toBe(true);
  await resumeRollout(db.app, why(id), service.now);
  expect(await hasNoWork()).toBe(false);
  await abortRollout(db.app, why(id), service.now);
  await service.tick();
  expect(await hasNoWork()).toBe(true);
});

test('changes made by SQL alone are work', async () => {
  await addDevices(db.app, 1);
  const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  await service.fetch('d0');
  await db.app.query('UPDATE rollout_configurations SET is_active = false WHERE id = :id', { id });
  expect(await hasNoWork()).toBe(false);
  await service.tick();
  expect(await hasNoWork()).toBe(true);
  await db.app.query('UPDATE rollout_configurations SET is_active = true WHERE id = :id', { id });
  expect(await hasNoWork()).toBe(false);
});

test('an update that continues while its rollout is stopped is work again at its deadline', async () => {
  await addDevices(db.app, 1);
  const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  await service.fetch('d0');
  await stopRollout(db.app, why(id), service.now);
  await service.tick();
  expect(await hasNoWork()).toBe(true);
  service.later(20);
  expect(await hasNoWork()).toBe(false);
});

test('unpublished events and due housekeeping are work', async () => {
  await addRollout(db.app, 'r', '2.0.0', { is_active: false });
  expect(await hasNoWork()).toBe(true);
  await db.app.query(
    `INSERT INTO ota_events (rollout_id, event_type, received_at, payload_hash) VALUES (1, 'rollout_changed', now(), 'x')`,
  );
  expect(await hasWork(db.app, service.now)).toBe(true);
  await published();
  service.later(366 * 24 * 60);
  expect(await hasWork(db.app, service.now)).toBe(true);
});

test('an unpublished event of a deleted rollout is no work', async () => {
  await addRollout(db.app, 'r', '2.0.0', { is_active: false });
  await db.app.query(
    `INSERT INTO ota_events (rollout_id, event_type, received_at, payload_hash) VALUES (1, 'rollout_changed', now(), 'x')`,
  );
  expect(await hasWork(db.app, service.now)).toBe(true);
  await db.owner.query('DELETE FROM rollout_configurations');
  expect(await hasWork(db.app, service.now)).toBe(false);
});
