import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { driveRollout } from '../../../core/orchestrator/drive-rollout.ts';
import { NO_SIGNATURE_REQUIRED } from '../../../core/release-policy/index.ts';
import { loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { DRAFT, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease } from '../../support/rows.ts';
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
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
  await addDevices(db.app, 3);
  await addRelease(db.app, '2.0.0');
});

const inMinutes = (minutes: number) => new Date(service.now.getTime() + minutes * 60_000).toISOString();

test('a rollout that has not ended by its end date is aborted, and a device that downloads goes on', async () => {
  const { rollout_id: id } = await client.createRollout({ ...DRAFT, end_at: inMinutes(10), max_in_flight: 2 });
  const [first = ''] = await service.tick();
  await service.fetch(first);
  await service.progress(first, 'downloading');
  service.later(9);
  await service.tick();
  expect((await client.rollout(id)).state).toBe('active');
  service.later(1);
  expect(await service.tick()).toEqual([]);
  expect(await client.rollout(id)).toMatchObject({
    state: 'aborted',
    paused_by: 'orchestrator',
    paused_reason: expect.stringMatching(
      /^its end date, 2026-03-02T12:10:00.000Z, has come: no device was updated, and 3 of the 3 assigned were still to be updated$/,
    ),
  });
  await service.tick();
  const statuses = await db.app.query<{ device_id: string; status: string }>(
    'SELECT device_id, status FROM device_update_status ORDER BY device_id',
  );
  const others = statuses.filter(({ device_id }) => device_id !== first);
  expect(statuses.find(({ device_id }) => device_id === first)?.status).toBe('downloading');
  expect(others.map(({ status }) => status)).toEqual(['canceled', 'canceled']);
});

test('the reason of an abort at the end date says how many devices were updated and how many were not', async () => {
  const { rollout_id: id } = await client.createRollout({ ...DRAFT, stages: [], end_at: inMinutes(60) });
  service.absent.add('d2');
  await service.tick();
  await service.succeed('d0', 'd1');
  service.later(60);
  await service.tick();
  expect((await client.rollout(id)).paused_reason).toBe(
    'its end date, 2026-03-02T13:00:00.000Z, has come: 2 devices were updated, and 1 of the 3 assigned was still to be updated',
  );
});

test('a rollout that is scheduled then is aborted, and one that is paused once it is resumed', async () => {
  const late = await client.createRollout({ ...DRAFT, name: 'late', end_at: inMinutes(10) });
  await addRelease(db.app, '3.0.0');
  const first = await client.createRollout({ ...DRAFT, name: 'first', firmware_version: '3.0.0', keep_open: true });
  const after_rollout_id = first.rollout_id;
  await client.createRollout({ ...DRAFT, name: 'scheduled', end_at: inMinutes(10), after_rollout_id });
  await client.act(late.rollout_id, 'pause', 'the line is busy');
  service.later(11);
  await service.tick();
  expect((await client.rollout('scheduled')).state).toBe('aborted');
  expect((await client.rollout('late')).state).toBe('paused');
  await client.act(late.rollout_id, 'resume', 'the line is free');
  await service.tick();
  expect((await client.rollout('late')).state).toBe('aborted');
  expect(service.sent.filter(({ version }) => version === '2.0.0')).toEqual([]);
});

test('a rollout that only waits is due at its end date, so that an idle service wakes for it', async () => {
  service.absent.add('d0').add('d1').add('d2');
  const { rollout_id: id } = await client.createRollout({ ...DRAFT, end_at: inMinutes(600) });
  await service.tick();
  service.later(60);
  await service.tick();
  const rollout = await loadRolloutRuntime(db.app, id);
  if (rollout === undefined) throw new Error('no rollout');
  const { dueAt } = await driveRollout(db.roles.control, rollout, service.now, NO_SIGNATURE_REQUIRED);
  expect(dueAt).toEqual(rollout.end_at);
});

test('an end date that has passed, or comes before the start, is refused', async () => {
  expect(await refusal(client.createRollout({ ...DRAFT, end_at: inMinutes(-1) }))).toMatchObject({
    status: 400,
    detail: expect.stringContaining('is not after now'),
  });
  const dates = { start_at: inMinutes(60), end_at: inMinutes(30) };
  expect(await refusal(client.createRollout({ ...DRAFT, ...dates }))).toMatchObject({
    status: 400,
    detail: expect.stringContaining('is not after start_at'),
  });
});
