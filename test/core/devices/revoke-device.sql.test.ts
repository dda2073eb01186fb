import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cancelRevoked, reinstateDevice, revokeDevice } from '../../../core/devices/revoke-device.ts';
import { explainDevice, NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { newRollout } from '../../support/preview.ts';
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
  await addDevices(db.app, 2);
  service = new TestService(db.app, db.roles);
});

const STOLEN = { reason: 'stolen', by: 'arn:aws:iam::1:user/ann' };
const AT_ONCE = { stages: [] };

async function revoke(deviceId: string): Promise<boolean> {
  const revoked = await revokeDevice(db.app, { deviceId, ...STOLEN }, service.now);
  await cancelRevoked(db.app, service.now);
  return revoked;
}

const updateOf = async (device: string) => {
  const [row] = await db.app.query(
    `SELECT status, error_message, completed_at IS NULL AS is_open FROM device_update_status
     WHERE device_id = :device ORDER BY id DESC LIMIT 1`,
    { device },
  );
  return row;
};

describe('a device whose identity is revoked', () => {
  test('receives no command, and its rollout completes without it', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.absent.add('d0');
    await service.tick();
    await revoke('d0');
    expect(await updateOf('d0')).toEqual({
      status: 'canceled',
      error_message: 'the identity of the device was revoked',
      is_open: false,
    });
    service.absent.clear();
    await service.status('d0', '1.0.0');
    await service.succeed('d1');
    await service.tick();
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d1']);
    expect(
      await db.app.query('SELECT state, devices, failed FROM rollout_overview WHERE rollout_id = :id', { id }),
    ).toEqual([{ state: 'completed', devices: 1, failed: 0 }]);
  });

  test('cannot continue its download, which does not count as a failure', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    expect(await service.fetch('d0')).toBe('open');
    await revoke('d0');
    expect(await service.fetch('d0')).toBe('over');
    await service.result('d0', 2);
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'canceled' });
    const [totals] = await db.app.query('SELECT failed, in_progress FROM rollout_overview WHERE rollout_id = :id', {
      id,
    });
    expect(totals).toEqual({ failed: 0, in_progress: 1 });
    const [pace] = await db.app.query('SELECT in_flight FROM rollout_runtime WHERE rollout_id = :id', { id });
    expect(pace).toEqual({ in_flight: 1 });
  });

  test('cannot fetch its image even before its update is canceled', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await revokeDevice(db.app, { deviceId: 'd0', ...STOLEN }, service.now);
    expect(await service.fetch('d0')).toBe('over');
  });

  test('by SQL alone is fully revoked by the next tick', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await db.app.query(`UPDATE devices SET revoked_at = now() WHERE device_id = 'd0'`);
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'canceled' });
  });

  test('receives no command that was assigned before and dispatched after the revocation', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.absent.add('d0');
    await service.tick();
    service.absent.clear();
    await revokeDevice(db.app, { deviceId: 'd0', ...STOLEN }, service.now);
    await service.status('d0', '1.0.0');
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d1']);
  });

  test('is left out of stages, so that a share refers to the other devices', async () => {
    await addDevices(db.app, 8, { prefix: 'e' });
    for (const device of ['e0', 'e1', 'e2', 'e3', 'e4']) await revoke(device);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [{ percentage: 40, soak_minutes: 60 }] });
    await service.tick();
    expect(await db.app.query('SELECT target_count FROM rollout_stages WHERE rollout_id = :id', { id })).toEqual([
      { target_count: 2 },
    ]);
  });

  test('appears in previews and explanations with the reason', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await revoke('d0');
    expect(await explainDevice(db.app, id, 'd0', service.now)).toEqual({
      rule: 'its identity was revoked: stolen',
      since: service.now,
      next: 'nothing, unless it is reinstated',
    });
    const draft = newRollout({
      firmware_version: '2.0.0',
      device_model: 'esp32-s3',
      target_type: 'all' as const,
      target_filter: {},
      rollout_percentage: 100,
      allow_downgrade: false,
      include_unknown: false,
      priority: 0,
      stepping_stones: null,
    });
    expect(await previewRollout(db.app, draft, NO_RULES)).toMatchObject({
      matching: 2,
      targeted: 1,
      willBeUpdated: 1,
      willNot: [{ reason: 'its identity was revoked', devices: 1 }],
    });
  });

  test('has one timeline entry with the operator and the reason, and can be reinstated', async () => {
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    expect([await revoke('d0'), await revoke('d0'), await revoke('nobody')]).toEqual([true, false, false]);
    await service.tick();
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d1']);
    expect(await reinstateDevice(db.app, { deviceId: 'd0', ...STOLEN, reason: 'found' }, service.now)).toBe(true);
    expect(await service.tick()).toEqual(['d0']);
    const events = await db.app.query(
      `SELECT event, detail FROM device_timeline WHERE device_id = 'd0' AND event LIKE 'device_%' ORDER BY event DESC`,
    );
    expect(events).toEqual([
      { event: 'device_revoked', detail: STOLEN },
      { event: 'device_reinstated', detail: { ...STOLEN, reason: 'found' } },
    ]);
  });

  test('can no longer request an identity with a provisioning claim', async () => {
    await db.app.query(
      `INSERT INTO allowed_devices (device_id, allowed_at, allowed_by) VALUES ('d0', now(), 'ann'), ('d1', now(), 'ann')`,
    );
    await revoke('d0');
    expect(await db.app.query('SELECT device_id FROM allowed_devices')).toEqual([{ device_id: 'd1' }]);
  });
});
