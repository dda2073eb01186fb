import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DeviceChange } from '../../api/reach.ts';
import type { RolloutDraft } from '../../api/rollouts.ts';
import { DRAFT, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 4);
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
});

const NOW = { ...DRAFT, stages: [] };
const FOR_VANS = { target_type: 'group', target_filter: { groups: ['vans'] } } satisfies Partial<RolloutDraft>;
const BY_R = (devices: number) => [{ rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', devices }];
const preview = async (change: DeviceChange) => (await client.previewChange(change)).reached_by;

describe('a change that makes a rollout send says so before and after', () => {
  test('for devices that join a group', async () => {
    await client.createRollout({ ...NOW, ...FOR_VANS, keep_open: true });
    await service.tick();
    const change = { device_ids: ['d0', 'd1'], join_groups: ['vans'] };
    expect(await preview(change)).toEqual(BY_R(2));
    expect(await service.tick()).toEqual([]);
    expect(await client.changeGroup('vans', { add: ['d0', 'd1'] })).toEqual({
      group_name: 'vans',
      devices: 2,
      reached_by: BY_R(2),
    });
    expect((await service.tick()).sort()).toEqual(['d0', 'd1']);
    expect(await preview(change)).toEqual([]);
    expect((await client.setGroups('d2', ['vans', 'lab'])).reached_by).toEqual(BY_R(1));
    expect((await client.setGroups('d2', [])).reached_by).toEqual([]);
  });

  test('for a percentage that leaves some of them out', async () => {
    await addDevices(db.app, 40, { prefix: 'e' });
    const all = Array.from({ length: 40 }, (_, n) => `e${n}`);
    await client.changeGroup('vans', { add: all.slice(0, 20) });
    await client.createRollout({ ...NOW, ...FOR_VANS, rollout_percentage: 50, keep_open: true });
    expect(await service.tick()).toHaveLength(10);
    const { reached_by: reached } = await client.changeGroup('vans', { add: all.slice(20) });
    expect(await service.tick()).toHaveLength(reached[0]?.devices ?? -1);
  });

  test('for attributes', async () => {
    await client.createRollout({ ...NOW, target_filter: { metadata: { site: 'rome' } }, keep_open: true });
    await service.tick();
    expect(await preview({ device_ids: ['d0', 'd1'], metadata: { site: 'rome' } })).toEqual(BY_R(2));
    expect((await client.setAttributes('d0', { site: 'rome' })).reached_by).toEqual(BY_R(1));
    expect((await client.setAttributes('d0', { shelf: 3 })).reached_by).toEqual([]);
    expect(await service.tick()).toEqual(['d0']);
  });

  test('for the model that is accepted, also if no device of that model has the version yet', async () => {
    await addRelease(db.app, '2.0.0', { model: 'heater' });
    await addDevices(db.app, 1, { prefix: 'c', model: 'heater', version: '2.0.0' });
    await client.createRollout({ ...NOW, device_model: 'heater', keep_open: true });
    await db.app.query(
      `UPDATE devices SET reported_model = 'heater', identity_changed_at = now() WHERE device_id = 'd0'`,
    );
    await service.tick();
    expect(await preview({ device_ids: ['d0'], accept_identity: true })).toEqual(BY_R(1));
    expect((await client.acceptIdentity('d0', 'the board was replaced')).reached_by).toEqual(BY_R(1));
    expect(await service.tick()).toEqual(['d0']);
  });

  test('for the model that is stated', async () => {
    await db.app.query('UPDATE devices SET model_received_at = NULL');
    await client.createRollout({ ...NOW, keep_open: true });
    await service.tick();
    const change: DeviceChange = { device_ids: ['d0', 'd1'], accept_identity: true };
    expect(await preview({ ...change, device_model: 'esp32-s3' })).toEqual(BY_R(2));
    expect(await preview({ ...change, device_model: 'esp32-c3' })).toEqual([]);
    expect((await client.acceptIdentity('d0', 'read from the label')).reached_by).toEqual(BY_R(1));
  });

  test('for a device that is reinstated, and for one that leaves a group that is held', async () => {
    await client.changeGroup('lab', { add: ['d1'] });
    await client.setHold({ scope: 'group', group_name: 'lab', reason: 'tests' });
    await client.revokeDevice('d0', 'stolen');
    await client.createRollout({ ...NOW, keep_open: true });
    expect((await service.tick()).sort()).toEqual(['d2', 'd3']);
    expect(await preview({ device_ids: ['d0'], reinstate: true })).toEqual(BY_R(1));
    expect((await client.reinstateDevice('d0', 'found')).reached_by).toEqual(BY_R(1));
    expect((await client.changeGroup('lab', { remove: ['d1'] })).reached_by).toEqual(BY_R(1));
    expect((await service.tick()).sort()).toEqual(['d0', 'd1']);
  });

  test('but not for what a rollout with a higher priority keeps, or a paused one would send', async () => {
    await client.changeGroup('old', { add: ['d0', 'd1'] });
    await client.createRollout({ ...NOW, ...FOR_VANS, keep_open: true });
    await client.act('r', 'pause', 'lunch');
    expect(await preview({ device_ids: ['d0'], join_groups: ['vans'] })).toEqual([]);
    expect(await preview({ device_ids: ['nobody'], join_groups: ['vans'] })).toEqual([]);
  });
});
