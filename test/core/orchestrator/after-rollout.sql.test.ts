import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { listStalledRollouts } from '../../../core/explain/index.ts';
import { DRAFT, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let client: TestApi['client'];
let first: number;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
  await addDevices(db.app, 2);
  await addDevices(db.app, 2, { model: 'small-s3', prefix: 'c' });
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '2.0.0', { model: 'small-s3' });
  first = (await client.createRollout({ ...DRAFT, name: 'first' })).rollout_id;
});

const createSecond = () =>
  client.createRollout({ ...DRAFT, name: 'second', device_model: 'small-s3', after_rollout_id: first });

test('a rollout sends nothing before the one that it waits for has completed', async () => {
  expect(await createSecond()).toMatchObject({
    state: 'scheduled',
    waiting_for: 'waiting for rollout "first" to complete',
  });
  expect((await service.tick()).toSorted()).toEqual(['d0', 'd1']);
  expect(await client.explain('c0', { rollout: 'second' })).toMatchObject({
    rule: 'the rollout has not started',
    next: expect.stringContaining('waiting for rollout "first" to complete'),
  });
  expect(await service.tick()).toEqual([]);
  await service.succeed('d0', 'd1');
  for (let tick = 0; tick < 3; tick++) await service.tick();
  expect((await client.rollout('first')).state).toBe('completed');
  expect(service.sent.slice(2).map(({ deviceId }) => deviceId)).toEqual(['c0', 'c1']);
  expect((await client.rollout('second')).state).toBe('active');
});

test('a rollout whose predecessor is aborted never begins, and says so', async () => {
  await createSecond();
  await client.act(first, 'abort', 'another build is coming');
  expect(await service.tick()).toEqual([]);
  const waiting_for = expect.stringContaining('"first", which was aborted: abort this one too');
  expect(await client.rollout('second')).toMatchObject({ state: 'scheduled', waiting_for });
  service.later(25 * 60);
  expect(await listStalledRollouts(db.app, service.now)).toMatchObject([{ name: 'second', isBlocked: true }]);
});

test('a rollout that does not exist, or was aborted, cannot be waited for', async () => {
  const create = (after_rollout_id: number) =>
    refusal(client.createRollout({ ...DRAFT, name: 'second', device_model: 'small-s3', after_rollout_id }));
  expect(await create(99)).toMatchObject({ status: 400, detail: 'after_rollout_id: there is no rollout 99' });
  await client.act(first, 'abort', 'another build is coming');
  expect(await create(first)).toMatchObject({
    status: 400,
    detail: 'after_rollout_id: rollout "first" was aborted and never completes',
  });
});

test('the database refuses rollouts that wait for each other, and the deletion of one that is waited for', async () => {
  await createSecond();
  const wait = db.app.query(`UPDATE rollout_configurations SET after_rollout_id = 2 WHERE name = 'first'`);
  await expect(wait).rejects.toThrow('rollout_configurations_after_check');
  await expect(db.app.query(`DELETE FROM rollout_configurations WHERE name = 'first'`)).rejects.toThrow('foreign key');
});

test('a rollout that is told to wait while it runs sends nothing more, also to a device that reports', async () => {
  await client.act(first, 'abort', 'another build is coming');
  const columns = { device_model: 'small-s3', keep_open: true };
  const open = await addRollout(db.app, 'open', '2.0.0', columns);
  service.absent.add('d0').add('d1');
  const late = await addRollout(db.app, 'late', '2.0.0', { stages: [] });
  await service.tick();
  await db.app.query('UPDATE rollout_configurations SET after_rollout_id = :open WHERE id = :late', { open, late });
  service.absent.clear();
  service.later(120);
  for (const device of ['d0', 'd1']) await service.status(device, '1.0.0');
  await service.tick();
  expect(service.sent.filter(({ deviceId }) => deviceId.startsWith('d'))).toEqual([]);
  await db.app.query('UPDATE rollout_configurations SET after_rollout_id = NULL WHERE id = :late', { late });
  for (const device of ['d0', 'd1']) await service.status(device, '1.0.0');
  expect(service.sent.filter(({ deviceId }) => deviceId.startsWith('d'))).toHaveLength(2);
});
