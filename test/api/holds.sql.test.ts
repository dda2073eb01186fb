import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CALLER, DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
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
  api = new TestApi(db.roles.control, () => service.now);
  client = api.client;
});

const ALL = { scope: 'service', reason: 'holidays' } as const;

describe('a hold', () => {
  test('of the whole service says what it stops, waits in the open, and says what its removal sends', async () => {
    service.absent.add('d0');
    await client.createRollout({ ...DRAFT, stages: [] });
    await client.changeGroup('lab', { add: ['d1'] });
    await client.setHold({ scope: 'group', group_name: 'lab', reason: 'tests' });
    await service.tick();
    expect(service.sent.map(({ deviceId }) => deviceId).sort()).toEqual(['d2', 'd3']);
    expect(await client.previewHold()).toEqual({ devices: 4, already_held: 1, waiting: 1, under_way: 2, rollouts: 1 });
    const woken = api.woken;
    const hold = await client.setHold({ ...ALL, ends_at: '2026-12-01T00:00:00.000Z' });
    expect(api.woken).toBe(woken + 1);
    expect(hold).toMatchObject({
      scope: 'service',
      created_by: CALLER,
      devices: 4,
      waiting: 1,
      text: `the whole service is held until 2026-12-01T00:00:00.000Z: holidays (set by ${CALLER} at 2026-03-02T12:00:00.000Z)`,
    });
    expect((await client.setHold({ ...ALL, ends_at: '2026-12-01T00:00:00.000Z' })).hold_id).toBe(hold.hold_id);
    expect((await client.fleet()).attention).toMatchObject([
      { kind: 'service_held', message: expect.stringMatching(/^The whole service is held .*4 devices, 1 pending/) },
      { kind: 'group_held', message: expect.stringMatching(/^Group lab is held: tests .*1 device, 0 pending/) },
    ]);
    expect((await client.rollout('r')).waiting_for).toBe(hold.text);
    expect((await client.device('d0')).holds.map(({ hold_id }) => hold_id)).toEqual([hold.hold_id]);
    expect((await client.explain('d0')).next).toContain('it is sent when hold');
    // d1 stays held by its group: only the pending update of d0 is sent.
    expect((await client.hold(hold.hold_id)).reached_by).toEqual([
      { rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', devices: 1 },
    ]);
    await service.tick();
    expect(await client.removeHold(hold.hold_id, 'over')).toMatchObject({
      ended_by: CALLER,
      ended_reason: 'over',
      reached_by: [{ devices: 1 }],
    });
    await service.tick();
    expect((await client.holds()).items).toMatchObject([{ scope: 'group' }]);
    expect((await client.holds({ state: 'ended' })).items).toMatchObject([{ scope: 'service' }]);
    expect((await client.rollout('r')).waiting_for).toContain('; 1 device is held');
    const events = (await client.decisions('r')).items.map(({ event, decided_by }) => [event, decided_by]);
    expect(events).toContainEqual(['rollout_held', CALLER]);
    expect(events).toContainEqual(['rollout_hold_ended', CALLER]);
  });

  test('of a group states by its removal how many devices get which version', async () => {
    await client.changeGroup('lab', { add: ['d0', 'd1', 'd2'] });
    const { hold_id: id } = await client.setHold({ scope: 'group', group_name: 'lab', reason: 'tests' });
    await client.setHold({ scope: 'device', device_id: 'd2', reason: 'at a fair' });
    await client.createRollout({ ...DRAFT, stages: [{ count: 1 }, { percentage: 100 }] });
    await service.tick();
    expect((await client.previewOf({ rollout_id: 1 })).held).toEqual([
      { reason: expect.stringContaining('group lab is held'), devices: 3 },
    ]);
    expect((await client.hold(id)).reached_by).toEqual([
      { rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', devices: 2 },
    ]);
  });

  test('with a start time is planned, and its removal before that time sends nothing', async () => {
    await client.changeGroup('lab', { add: ['d0'] });
    const times = { starts_at: '2026-12-20T18:00:00.000Z', ends_at: '2027-01-07T06:00:00.000Z' };
    const hold = await client.setHold({ scope: 'group', group_name: 'lab', reason: 'holidays', ...times });
    expect(hold).toMatchObject({
      began_at: null,
      devices: 1,
      text: `group lab is held from 2026-12-20T18:00:00.000Z until 2027-01-07T06:00:00.000Z: holidays (set by ${CALLER} at 2026-03-02T12:00:00.000Z)`,
    });
    expect((await client.holds()).items).toEqual([hold]);
    expect((await client.holds({ state: 'planned' })).items).toEqual([hold]);
    expect((await client.holds({ state: 'in_force' })).items).toEqual([]);
    expect((await client.fleet()).attention).toEqual([]);
    expect((await client.device('d0')).holds).toEqual([]);
    expect((await client.removeHold(hold.hold_id, 'not needed')).reached_by).toEqual([]);
  });

  test('of a group that has lost its devices says that it holds nothing', async () => {
    await client.changeGroup('lab', { add: ['d0'] });
    await client.setHold({ scope: 'group', group_name: 'lab', reason: 'tests' });
    await client.changeGroup('lab', { remove: ['d0'] });
    expect((await client.fleet()).attention).toMatchObject([
      { kind: 'group_held', message: expect.stringMatching(/: no device is in the group, so nothing is held$/) },
    ]);
  });

  test('keeps a recovery, whose preview says how many of its devices are held', async () => {
    await client.createRollout({ ...DRAFT, stages: [] });
    await service.tick();
    await service.succeed('d0', 'd1');
    await addRelease(db.app, '1.0.0');
    await client.act('r', 'pause', 'bad');
    await client.setHold({ scope: 'device', device_id: 'd0', reason: 'at a fair' });
    expect(await client.previewRecovery('r')).toMatchObject({ devices: 2, held: 1 });
    await client.recover('r', 'bad');
    service.sent.length = 0;
    await service.statuses(['d0', 'd1'], '2.0.0', 1000);
    expect(service.sent.map(({ deviceId, version }) => [deviceId, version])).toEqual([['d1', '1.0.0']]);
  });

  test('is refused for what does not exist, for a time that has passed, and where its target is not clear', async () => {
    const set = (body: object) => refusal(client.setHold(body as never));
    expect(await set({ scope: 'device', device_id: 'nobody', reason: 'x' })).toMatchObject({ status: 404 });
    expect(await set({ scope: 'group', group_name: 'nobody', reason: 'x' })).toMatchObject({
      status: 404,
      detail: 'There is no group "nobody" with a device in it.',
    });
    expect(await set({ ...ALL, ends_at: '2020-01-01T00:00:00.000Z' })).toMatchObject({ status: 400 });
    expect(await set({ ...ALL, starts_at: '2020-01-01T00:00:00.000Z' })).toMatchObject({ status: 400 });
    expect(
      await set({ ...ALL, starts_at: '2027-01-02T00:00:00.000Z', ends_at: '2027-01-01T00:00:00.000Z' }),
    ).toMatchObject({
      status: 400,
      detail: expect.stringContaining('2027-01-01T00:00:00.000Z is not after starts_at, 2027-01-02T00:00:00.000Z'),
    });
    expect(await set({ ...ALL, device_id: 'd0' })).toMatchObject({ status: 400 });
    expect(await set({ scope: 'group', reason: 'x' })).toMatchObject({ status: 400 });
    expect(await set({ scope: 'service', reason: ' ' })).toMatchObject({ status: 400 });
    const { hold_id: id } = await client.setHold(ALL);
    await client.removeHold(id, 'over');
    expect(await refusal(client.removeHold(id, 'again'))).toMatchObject({ status: 409 });
    expect(await refusal(client.hold(999))).toMatchObject({ status: 404 });
  });
});
