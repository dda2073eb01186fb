import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DRAFT, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  service = new TestService(db.app, db.roles);
  api = new TestApi(db.roles.control, () => service.now);
  await addDevices(db.app, 20);
  await addRelease(db.app, '2.0.0');
  await api.client.changeGroup('lab', { add: ['d3', 'd7', 'd11'] });
  await api.client.changeGroup('staff', { add: ['d7', 'd19'] });
});

const STAGES = [{ group: 'lab' }, { group: 'staff' }, { count: 6 }, { percentage: 50 }];
const PLANNED = { ...DRAFT, stages: STAGES };

/** Proves the devices, and lets the orchestrator begin the next stage. @returns the devices of that stage */
async function proveAndGoOn(...devices: string[]): Promise<string[]> {
  await service.succeed(...devices);
  const sent = [...(await service.tick()), ...(await service.tick()), ...(await service.tick())];
  return sent.toSorted();
}

test('the devices of the groups come first, then the others in their order, as the preview said', async () => {
  const saved = await api.client.createRollout({ ...PLANNED, is_active: false });
  const { stages } = await api.client.previewOf(saved);
  await db.app.query('UPDATE rollout_configurations SET is_active = true');
  const lab = (await service.tick()).toSorted();
  expect(lab).toEqual(['d11', 'd3', 'd7']);
  const staff = await proveAndGoOn(...lab);
  expect(staff).toEqual(['d19']);
  const counted = await proveAndGoOn(...staff);
  expect(counted).toHaveLength(2);
  const half = await proveAndGoOn(...counted);
  const rest = await proveAndGoOn(...half);
  expect(stages.map(({ devices }) => devices)).toEqual([3, 1, 2, half.length, rest.length]);
  expect(new Set(service.sent.map(({ deviceId }) => deviceId)).size).toBe(20);
});

test('the preview of the stages that are left counts the members of a group that has yet to begin', async () => {
  const { rollout_id: id } = await api.client.createRollout(PLANNED);
  await service.tick();
  const { stages } = await api.client.previewOf({ rollout_id: id });
  expect(stages.slice(0, 3).map(({ devices }) => devices)).toEqual([3, 1, 2]);
});

test('the preview of a draft has the sizes of its groups', async () => {
  const { stages } = await api.client.previewRollout(PLANNED);
  expect(stages.map(({ devices }) => devices)).toEqual([3, 1, 2, 6, 8]);
});

test('a device that joins the group later is not in its stage', async () => {
  await api.client.createRollout(PLANNED);
  expect(await service.tick()).toHaveLength(3);
  await api.client.changeGroup('lab', { add: ['d5'] });
  expect(await service.tick()).toEqual([]);
});

test('a stage of a group without a device to update waits for a person, who can go on', async () => {
  const { rollout_id: id } = await api.client.createRollout({ ...DRAFT, stages: [{ group: 'nobody' }, { count: 2 }] });
  expect(await service.tick()).toEqual([]);
  service.later(48 * 60);
  expect(await service.tick()).toEqual([]);
  const { waiting_for } = await api.client.rollout(id);
  expect(waiting_for).toContain(
    'waiting for a person to advance it: no device of group nobody could be updated, so nothing is known of the build',
  );
  await api.client.act(id, 'advance', 'the lab is closed');
  expect(await service.tick()).toHaveLength(2);
});

test('a stage of a group that is resumed after a halt takes no device from outside it', async () => {
  const { rollout_id: id } = await api.client.createRollout({ ...PLANNED, max_attempts: 1, probation_minutes: 0 });
  const lab = await service.tick();
  await service.boot(...lab);
  service.later(6);
  for (const device of lab) await service.status(device, '1.0.0', 5);
  await service.tick();
  expect(await api.client.rollout(id)).toMatchObject({ state: 'halted' });
  await api.client.act(id, 'resume', 'the power of the lab was off');
  for (let tick = 0; tick < 3; tick++) expect(await service.tick()).toEqual([]);
  await api.client.changeGroup('lab', { add: ['d5'] });
  service.later(1);
  expect((await api.client.rollout(id)).waiting_for).toContain('of group lab');
});
