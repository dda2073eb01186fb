import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { acceptChanges, stateDefaultModel } from '../../../lambdas/ingest-status/accept-changes.ts';
import { parseStatusBatch, storeStatusBatch } from '../../../lambdas/ingest-status/status-batch.ts';
import { DRAFT, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addRelease } from '../../support/rows.ts';
import { STATUS_SENDERS } from '../../support/senders.ts';
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
  await addRelease(db.app, '2.0.0', { model: 'pump' });
  await addRelease(db.app, '2.0.0', { model: 'toaster' });
});

/** Stores a status of a device; a pending update is not sent. */
async function say(device: string, said: object, { accepts = false, defaultModel = '' } = {}): Promise<void> {
  const body = JSON.stringify({
    payload: Buffer.from(JSON.stringify({ firmware_version: '1.0.0', ...said })).toString('base64'),
    topic: `paku/edge/${device}/status`,
    received_at: service.now.getTime(),
    client_id: device,
  });
  const batch = parseStatusBatch([{ body }], STATUS_SENDERS, service.now);
  await storeStatusBatch(db.roles.ingest, batch, service.now);
  if (defaultModel !== '') await stateDefaultModel(db.roles.ingest, batch.statuses, defaultModel, service.now);
  if (accepts) await acceptChanges(db.app, batch.statuses, service.now);
  service.later(1);
}

const PUMP = { device_model: 'pump', mac: 'A0:B7:65:20:E9:55' };
const TOASTER = { device_model: 'toaster', mac: 'A0:B7:65:20:E9:99' };
const rollout = (name: string, changes: object = {}) =>
  client.createRollout({ ...DRAFT, name, device_model: 'pump', ...changes });
const byMac = { target_type: 'specific' as const, target_filter: { mac_addresses: [PUMP.mac] } };
const kinds = async () => (await client.fleet()).attention.map(({ kind }) => kind);
const concerns = async () => (await client.fleet()).attention.filter(({ kind }) => kind === 'identity_changed');
const stateOf = async (device: string) =>
  (await client.device(device)).update as { status: string; reason: string | null } | null;

describe('a toaster that says that it is a pump, with the MAC address of another device', () => {
  beforeEach(async () => {
    await say('pump-1', PUMP);
    await say('toaster-1', TOASTER);
  });

  test('keeps its model and MAC address, and shows what it reports', async () => {
    await say('toaster-1', PUMP);
    await say('toaster-1', PUMP);
    expect(await client.device('toaster-1')).toMatchObject({
      device_model: 'toaster',
      mac_address: TOASTER.mac,
      reported_model: 'pump',
      reported_mac: PUMP.mac,
      identity_changed_at: '2026-03-02T12:02:00.000Z',
      mac_shared_with: ['pump-1'],
    });
    await say('toaster-1', TOASTER);
    expect(await client.device('toaster-1')).toMatchObject({ reported_model: null, identity_changed_at: null });
  });

  test('is assigned no rollout: by model, by MAC address or by its own model', async () => {
    await say('toaster-1', PUMP);
    await rollout('pumps');
    await rollout('one pump', byMac);
    await rollout('toasters', { device_model: 'toaster' });
    expect(await service.tick()).toEqual(['pump-1']);
    expect(await stateOf('toaster-1')).toBeNull();
  });

  test('is sent no command of an update that was assigned before', async () => {
    service.absent.add('toaster-1');
    await rollout('toasters', { device_model: 'toaster' });
    await service.tick();
    expect(await stateOf('toaster-1')).toMatchObject({ status: 'pending' });
    service.absent.clear();
    await say('toaster-1', PUMP);
    service.later(61);
    expect(await service.tick()).toEqual([]);
    expect(await stateOf('toaster-1')).toMatchObject({ status: 'canceled' });
  });

  test('cannot fetch the image of a command that was sent before, and that counts as no failure', async () => {
    const { rollout_id: id } = await rollout('toasters', { device_model: 'toaster' });
    expect(await service.tick()).toEqual(['toaster-1']);
    await say('toaster-1', PUMP);
    expect(await service.fetch('toaster-1')).toBe('over');
    expect(await stateOf('toaster-1')).toMatchObject({
      status: 'canceled',
      reason: 'the device reported another model or MAC address before it fetched the image',
    });
    expect((await client.rollout(String(id))).failed).toBe(0);
  });

  test('is accepted at once where the settings say so, and its timeline says by whom', async () => {
    await say('toaster-1', PUMP, { accepts: true });
    expect(await client.device('toaster-1')).toMatchObject({ device_model: 'pump', identity_changed_at: null });
    expect((await client.deviceTimeline('toaster-1', {})).items).toContainEqual(
      expect.objectContaining({ event: 'identity_accepted', detail: expect.objectContaining({ by: 'settings' }) }),
    );
    expect(await concerns()).toEqual([]);
  });

  test('is named with the reason by explain, preview, attention and the update of one device', async () => {
    await say('toaster-1', { ...TOASTER, device_model: 'pump' });
    await rollout('toasters', { device_model: 'toaster' });
    const expected = {
      rule: 'reports model pump instead of toaster',
      since: '2026-03-02T12:02:00.000Z',
      next: 'nothing, until that is accepted with `paku-ota device accept toaster-1`',
    };
    expect(await client.explain('toaster-1', {})).toMatchObject(expected);
    await rollout('pumps');
    expect(await client.explain('toaster-1', { rollout: 'pumps' })).toMatchObject(expected);
    expect(await client.previewRollout({ ...DRAFT, device_model: 'toaster' })).toMatchObject({
      targeted: 0,
      will_be_updated: 0,
      will_not: [
        { reason: 'reports another model or MAC address; accept it with `paku-ota device accept`', devices: 1 },
      ],
    });
    expect((await refusal(client.updateDevice('toaster-1', { firmware_version: '2.0.0' }))).detail).toBe(
      'toaster-1 reports model pump instead of toaster; accept that first: paku-ota device accept toaster-1',
    );
    expect(await concerns()).toHaveLength(1);
  });

  test('is updated as a pump when an operator has accepted the change, which is recorded', async () => {
    await say('toaster-1', PUMP);
    const device = await client.acceptIdentity('toaster-1', 'the board was replaced');
    expect(device).toMatchObject({
      device_model: 'pump',
      mac_address: PUMP.mac,
      reported_model: null,
      reported_mac: null,
      identity_changed_at: null,
    });
    expect((await client.deviceTimeline('toaster-1')).items[0]).toMatchObject({
      event: 'identity_accepted',
      detail: {
        reason: 'the board was replaced',
        model: 'pump',
        model_before: 'toaster',
        mac: PUMP.mac,
        mac_before: TOASTER.mac,
        by: 'arn:aws:iam::000000000000:user/operator',
      },
    });
    await rollout('pumps');
    expect(await service.tick()).toEqual(['pump-1', 'toaster-1']);
    expect((await refusal(client.acceptIdentity('toaster-1', 'again'))).detail).toContain(
      'reports what is known of it, or nothing',
    );
  });

  test('is assigned by a rollout that has scanned the fleet before, once the change is accepted', async () => {
    await rollout('pumps', { keep_open: true });
    await service.tick();
    await service.tick();
    await say('toaster-1', PUMP);
    expect(await service.tick()).toEqual([]);
    await client.acceptIdentity('toaster-1', 'the board was replaced');
    expect(await service.tick()).toEqual(['toaster-1']);
  });
});

describe('the model of a device', () => {
  test('is pinned by its first report, not by the default that is shown before', async () => {
    await say('pump-1', {});
    expect(await client.device('pump-1')).toMatchObject({ device_model: 'esp32-s3', model_is_assumed: true });
    await say('pump-1', { device_model: ' PUMP ' });
    expect(await client.device('pump-1')).toMatchObject({
      device_model: 'pump',
      model_is_assumed: false,
      reported_model: null,
    });
    await say('pump-1', { device_model: 'Pump' });
    expect(await client.device('pump-1')).toMatchObject({ device_model: 'pump', identity_changed_at: null });
  });

  test('is not changed by an older message that is processed later', async () => {
    await say('pump-1', PUMP);
    await say('pump-1', PUMP);
    service.later(-2);
    await say('pump-1', TOASTER);
    expect(await client.device('pump-1')).toMatchObject({ device_model: 'pump', identity_changed_at: null });
  });
});

describe('a board whose model was never stated', () => {
  const BOARD = 'ESP8266-9608CF16';
  const silent = (changes: object = {}) =>
    client.createRollout({ ...DRAFT, name: 'silent', device_model: 'esp32-s3', ...changes });
  beforeEach(async () => {
    await addRelease(db.app, '2.0.0');
    await addRelease(db.app, '2.0.0', { model: 'esp8266-wired-sensors' });
    await say(BOARD, {});
    await say('ESP32-20E955A0', { device_model: 'esp32-s3' });
  });

  test('is not updated by a rollout of the assumed model, by a group or by its MAC address', async () => {
    await say(BOARD, { mac: PUMP.mac });
    await client.changeGroup('vans', { add: [BOARD] });
    await silent();
    await silent({ name: 'vans', target_type: 'group', target_filter: { groups: ['vans'] }, priority: 2 });
    await silent({ name: 'by MAC', ...byMac, priority: 3 });
    await silent({ name: 'models', target_filter: { models: ['esp32-s3'] }, priority: 4 });
    expect(await service.tick()).toEqual(['ESP32-20E955A0']);
    expect(await stateOf(BOARD)).toBeNull();
    expect(await client.previewRollout({ ...DRAFT, device_model: 'esp32-s3' })).toMatchObject({
      matching: 2,
      targeted: 1,
      will_not: expect.arrayContaining([
        {
          reason: 'its model was never stated; state it with `paku-ota device accept`, or name the device by its id',
          devices: 1,
        },
      ]),
    });
    const expected = {
      rule: 'its model was never stated: esp32-s3 is assumed, and only a rollout that names it by its id targets it',
      next: `nothing, until its firmware reports a model, or \`paku-ota device accept ${BOARD} --model <model>\` states it`,
    };
    expect(await client.explain(BOARD, {})).toMatchObject(expected);
    await rollout('pumps');
    expect(await client.explain(BOARD, { rollout: 'pumps' })).toMatchObject(expected);
  });

  test('is shown as assumed, also among what needs attention', async () => {
    expect(await client.device(BOARD)).toMatchObject({ device_model: 'esp32-s3', model_is_assumed: true });
    expect((await client.fleet()).attention).toContainEqual({
      kind: 'model_assumed',
      message: `The model of device ${BOARD} was never stated: only rollouts that name it by its id update it. State it with paku-ota device accept <device>… --model <model>, or with the setting defaultModel`,
      link: `/devices/${BOARD}`,
    });
  });

  test('is updated by a rollout that names its id, whose preview warns of that', async () => {
    const byId = { target_type: 'specific' as const, target_filter: { device_ids: [BOARD] } };
    expect((await client.previewRollout({ ...DRAFT, device_model: 'esp32-s3', ...byId })).warnings).toContainEqual({
      code: 'ASSUMED_MODEL',
      message: `the model of ${BOARD} was never stated: an image for another board can make a device unusable`,
    });
    await client.updateDevice(BOARD, { firmware_version: '2.0.0' });
    expect(await service.tick()).toEqual([BOARD]);
  });

  test('is recovered from a rollout that named it', async () => {
    await addRelease(db.app, '1.0.0');
    const { rollout_id: id } = await client.updateDevice(BOARD, { firmware_version: '2.0.0' });
    await service.tick();
    await service.fetch(BOARD);
    await service.result(BOARD, 0);
    service.later(1);
    await say(BOARD, { firmware_version: '2.0.0', uptime_seconds: 5 });
    await client.act(String(id), 'pause', 'it gets hot');
    await client.recover(id, 'it gets hot');
    expect(await service.tick()).toEqual([BOARD]);
    expect(service.sent.at(-1)).toMatchObject({ deviceId: BOARD, version: '1.0.0' });
  });

  test('is kept from no rollout by one of its model, which does not target it', async () => {
    await addRelease(db.app, '1.0.0');
    await client.updateDevice(BOARD, { firmware_version: '2.0.0' });
    await silent({ name: 'stay', firmware_version: '1.0.0', keep_open: true, priority: 1000 });
    await service.tick();
    expect(await stateOf(BOARD)).toMatchObject({ status: 'sent' });
  });

  test('is updated as soon as an operator states its model, also by a rollout that has scanned the fleet', async () => {
    await silent({ keep_open: true });
    await service.tick();
    await service.tick();
    const device = await client.acceptIdentity(BOARD, 'firmware 1.2.3 reports none', 'ESP32-S3');
    expect(device).toMatchObject({ device_model: 'esp32-s3', model_is_assumed: false });
    expect((await client.deviceTimeline(BOARD)).items[0]).toMatchObject({
      event: 'identity_accepted',
      detail: {
        model: 'esp32-s3',
        reason: 'firmware 1.2.3 reports none',
        by: 'arn:aws:iam::000000000000:user/operator',
      },
    });
    expect(await service.tick()).toEqual([BOARD]);
    expect(await kinds()).not.toContain('model_assumed');
  });

  test('gets the assumed model when an operator accepts it without another one', async () => {
    expect(await client.acceptIdentity(BOARD, 'it is one')).toMatchObject({
      device_model: 'esp32-s3',
      model_is_assumed: false,
    });
    expect((await refusal(client.acceptIdentity(BOARD, 'again'))).status).toBe(409);
  });

  test('can be stated again after a mistake, and is held if it reports another one', async () => {
    await client.acceptIdentity(BOARD, 'a guess', 'pump');
    expect(await client.acceptIdentity(BOARD, 'seen', 'esp8266-wired-sensors')).toMatchObject({
      device_model: 'esp8266-wired-sensors',
      identity_changed_at: null,
    });
    expect((await client.deviceTimeline(BOARD)).items.map(({ event }) => event)).not.toContain('model_changed');
    await say(BOARD, {});
    expect(await client.device(BOARD)).toMatchObject({ identity_changed_at: null });
    await say(BOARD, { device_model: 'toaster' });
    expect(await client.device(BOARD)).toMatchObject({
      device_model: 'esp8266-wired-sensors',
      reported_model: 'toaster',
    });
    expect((await refusal(client.acceptIdentity(BOARD, 'no', 'pump'))).detail).toBe(
      `${BOARD} reports the model toaster, not pump: accept that, or change its firmware.`,
    );
  });

  test('has the model of the setting defaultModel with its next status, and no other device has', async () => {
    await say(BOARD, {}, { defaultModel: 'pump' });
    await say('pump-1', TOASTER, { defaultModel: 'pump' });
    expect(await client.device(BOARD)).toMatchObject({ device_model: 'pump', model_is_assumed: false });
    expect(await client.device('pump-1')).toMatchObject({ device_model: 'toaster', identity_changed_at: null });
    expect((await client.deviceTimeline(BOARD)).items).toContainEqual(
      expect.objectContaining({
        event: 'identity_accepted',
        detail: expect.objectContaining({ model: 'pump', by: 'settings', reason: 'defaultModel is set to pump' }),
      }),
    );
  });
});

describe('a device whose model and MAC address are on the list of expected devices', () => {
  const entry = { device_id: 'new-1', device_model: 'Pump', mac_address: 'a0-b7-65-20-e9-55' };
  beforeEach(async () => {
    await client.changeAllowedDevices({ add: [entry] });
  });

  test('has these with its first status, which need not name them', async () => {
    expect((await client.allowedDevices()).items).toMatchObject([{ device_model: 'pump', mac_address: PUMP.mac }]);
    await say('new-1', {});
    expect(await client.device('new-1')).toMatchObject({
      device_model: 'pump',
      mac_address: PUMP.mac,
      model_is_assumed: false,
      identity_changed_at: null,
    });
    await say('new-1', PUMP);
    expect(await client.device('new-1')).toMatchObject({ reported_model: null, identity_changed_at: null });
  });

  test('is held from its first status if that states others', async () => {
    await say('new-1', TOASTER);
    const held = { device_model: 'pump', mac_address: PUMP.mac, reported_model: 'toaster', reported_mac: TOASTER.mac };
    expect(await client.device('new-1')).toMatchObject(held);
    await rollout('pumps');
    await rollout('toasters', { device_model: 'toaster' });
    expect(await service.tick()).toEqual([]);
    await say('new-1', TOASTER);
    expect(await client.device('new-1')).toMatchObject(held);
    await say('new-1', PUMP);
    expect(await client.device('new-1')).toMatchObject({ reported_model: null, identity_changed_at: null });
  });

  test('has these also if an OTA report or a status without them came first', async () => {
    await service.result('new-1', 0);
    await say('new-1', TOASTER);
    expect(await client.device('new-1')).toMatchObject({
      device_model: 'pump',
      mac_address: PUMP.mac,
      reported_model: 'toaster',
      reported_mac: TOASTER.mac,
      identity_changed_at: expect.any(String),
    });
  });

  test('keeps the model that is known when the entry is made later', async () => {
    await say('old-1', TOASTER);
    await client.changeAllowedDevices({ add: [{ ...entry, device_id: 'old-1' }] });
    await say('old-1', TOASTER);
    expect(await client.device('old-1')).toMatchObject({ device_model: 'toaster', identity_changed_at: null });
  });
});

describe('an update that changes the model', () => {
  const devices = ['pump-0', 'pump-1', 'pump-2'];
  beforeEach(async () => {
    for (const [n, device] of devices.entries()) await say(device, { ...PUMP, mac: `A0:B7:65:20:E9:0${n}` });
    await rollout('renames');
    await service.tick();
    await service.tick();
    for (const device of devices) {
      await service.fetch(device);
      await service.result(device, 0);
    }
  });

  test('keeps its outcome, and needs attention once for its rollout', async () => {
    const renamed = { firmware_version: '2.0.0', device_model: 'pump-v2' };
    for (const device of devices) await say(device, { ...renamed, uptime_seconds: 30 });
    service.later(10);
    for (const device of devices) await say(device, { ...renamed, uptime_seconds: 800 });
    await service.tick();
    expect(await client.rollout('renames')).toMatchObject({ state: 'completed', succeeded: 3, failed: 0 });
    expect(await concerns()).toEqual([
      {
        kind: 'identity_changed',
        message:
          'Device pump-2 reports model pump-v2 instead of pump since rollout "renames" updated it, as do 2 more: nothing is sent to them until an operator accepts each change',
        link: `/rollouts/${(await client.rollout('renames')).rollout_id}`,
      },
    ]);
  });

  test('is named by the explanation, with what the operator can do, and so it is after that was accepted', async () => {
    const renamed = { firmware_version: '2.0.0', device_model: 'pump-v2' };
    await say('pump-0', { ...renamed, uptime_seconds: 30 });
    service.later(10);
    await say('pump-0', { ...renamed, uptime_seconds: 800 });
    await service.tick();
    expect(await client.explain('pump-0')).toMatchObject({
      rollout_name: 'renames',
      rule: 'reports model pump-v2 instead of pump since rollout "renames" updated it to 2.0.0',
      next: 'nothing, until that is accepted with `paku-ota device accept pump-0`; then rollouts of the model pump-v2 update it',
    });
    await addRelease(db.app, '3.0.0', { model: 'pump' });
    await rollout('later', { firmware_version: '3.0.0' });
    expect(await client.explain('pump-0')).toMatchObject({
      rollout_name: 'later',
      rule: 'reports model pump-v2 instead of pump since rollout "renames" updated it to 2.0.0',
    });

    await client.acceptIdentity('pump-0', 'renamed');
    expect(await client.explain('pump-0')).toMatchObject({
      rollout_name: 'renames',
      rule: 'runs 2.0.0',
      next: 'nothing by this rollout, which is for the model pump: the device is of pump-v2 now, for which there is no rollout',
    });
    await addRelease(db.app, '3.0.0', { model: 'pump-v2' });
    await rollout('of the new model', { firmware_version: '3.0.0', device_model: 'pump-v2' });
    expect(await client.explain('pump-0')).toMatchObject({ rollout_name: 'of the new model', rule: 'may be updated' });
    expect((await client.explain('pump-0', { rollout: 'renames' })).next).toBe(
      'nothing by this rollout, which is for the model pump: the device is of pump-v2 now',
    );
  });
});

describe('two devices with one MAC address', () => {
  test('are named by the preview of a rollout to that address', async () => {
    await say('pump-1', PUMP);
    await say('pump-2', PUMP);
    const { warnings, targeted } = await client.previewRollout({ ...DRAFT, device_model: 'pump', ...byMac });
    expect(targeted).toBe(2);
    expect(warnings).toEqual([
      {
        code: 'SHARED_MAC',
        message: `more than one device reports the MAC address ${PUMP.mac}: pump-1, pump-2; name the device by its id`,
      },
    ]);
  });
});
