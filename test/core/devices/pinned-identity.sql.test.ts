import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { acceptChanges } from '../../../lambdas/ingest-status/accept-changes.ts';
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
async function say(device: string, said: object, { accepts = false } = {}): Promise<void> {
  const body = JSON.stringify({
    payload: Buffer.from(JSON.stringify({ firmware_version: '1.0.0', ...said })).toString('base64'),
    topic: `paku/edge/${device}/status`,
    received_at: service.now.getTime(),
    client_id: device,
  });
  const batch = parseStatusBatch([{ body }], STATUS_SENDERS, service.now);
  await storeStatusBatch(db.app, batch, service.now);
  if (accepts) await acceptChanges(db.app, batch.statuses, service.now);
  service.later(1);
}

const PUMP = { device_model: 'pump', mac: 'A0:B7:65:20:E9:55' };
const TOASTER = { device_model: 'toaster', mac: 'A0:B7:65:20:E9:99' };
const rollout = (name: string, changes: object = {}) =>
  client.createRollout({ ...DRAFT, name, device_model: 'pump', ...changes });
const byMac = { target_type: 'specific' as const, target_filter: { mac_addresses: [PUMP.mac] } };
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
      'reports what is known of it',
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
