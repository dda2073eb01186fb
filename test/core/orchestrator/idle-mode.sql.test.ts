import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DeviceReport } from '../../../core/devices/index.ts';
import {
  assessIdle,
  idleUntil,
  isInIdleMode,
  isRedundantHeartbeat,
  mayEnterIdle,
} from '../../../core/orchestrator/idle-mode.ts';
import type { FactValue } from '../../../core/protocol/index.ts';
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
});

const AT_ONCE = { stages: [] };
const assess = () => assessIdle(db.app, service.now);
const seen = (device: string, hoursAgo: number) =>
  db.app.query('UPDATE devices SET last_seen = :at::timestamptz WHERE device_id = :device', {
    device,
    at: new Date(service.now.getTime() - hoursAgo * 3_600_000),
  });

describe('the system may enter idle mode', () => {
  test('when there is nothing to do, with a snapshot of every device', async () => {
    await addDevices(db.app, 2);
    const { isBusy, dueAt, devices } = await assess();
    expect({ isBusy, dueAt }).toEqual({ isBusy: false, dueAt: null });
    expect(devices?.map(({ device_id, version }) => [device_id, version])).toEqual([
      ['d0', '1.0.0'],
      ['d1', '1.0.0'],
    ]);
  });

  test('not while a recently seen device has a pending update; a device not seen for a day does not prevent it', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'r', '2.0.0', {
      ...AT_ONCE,
      target_type: 'specific',
      target_filter: { device_ids: ['d0'] },
    });
    await service.tick();
    await seen('d0', 23);
    await db.app.query(`UPDATE device_update_status SET status = 'pending'`);
    await db.app.query('UPDATE ota_events SET published_at = received_at');
    expect(await assess()).toMatchObject({ isBusy: true, devices: null });
    await seen('d0', 25);
    const idle = await assess();
    expect(idle).toMatchObject({ isBusy: false, dueAt: expect.any(Date) });
    // A device with a pending update has no snapshot, so any status of it is processed.
    expect(idle.devices?.map(({ device_id }) => device_id)).toEqual(['d1']);
  });

  test('not while an update is in progress', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await seen('d0', 48);
    expect(await assess()).toMatchObject({ isBusy: true });
  });

  test('with the facts of each device that do not change while it runs', async () => {
    await addDevices(db.app, 2);
    await db.app.query(
      `UPDATE devices SET facts = CASE device_id WHEN 'd0' THEN '{"slot_bytes": 5, "battery_percent": 80}'::jsonb
         ELSE jsonb_build_object('long', repeat('x', 1000)) END`,
    );
    // The facts of d1 would not fit the answer of a statement: each of its statuses that states one is processed.
    expect((await assess()).devices?.map(({ facts }) => facts)).toEqual([{ slot_bytes: 5 }, {}]);
  });

  test('not while a rollout selects devices by a fact that changes while they run', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'board', '2.0.0', { target_filter: { facts: { board_revision: 'C' } } });
    await db.app.query('UPDATE ota_events SET published_at = received_at');
    expect(await assess()).toMatchObject({ isBusy: false });
    const id = await addRollout(db.app, 'battery', '2.0.0', {
      target_filter: { facts: { battery_percent: { min: 50 } } },
    });
    await db.app.query('UPDATE ota_events SET published_at = received_at');
    expect(await assess()).toMatchObject({ isBusy: true });
    await db.app.query('UPDATE rollout_configurations SET paused_at = now() WHERE id = :id', { id });
    await db.app.query('UPDATE ota_events SET published_at = received_at');
    expect(await assess()).toMatchObject({ isBusy: false });
  });

  test('not with more devices than a marker holds', async () => {
    await db.app.query(`INSERT INTO devices (device_id) SELECT 'd' || n FROM generate_series(1, 5001) AS n`);
    expect(await assess()).toMatchObject({ isBusy: false, devices: null });
    await db.app.query(`DELETE FROM devices WHERE device_id = 'd1'`);
    expect((await assess()).devices).toHaveLength(5_000);
  });

  test('not if a rollout was created, changed or resumed meanwhile', async () => {
    const before = await assess();
    const id = await addRollout(db.app, 'r', '2.0.0', { is_active: false });
    const made = await assess();
    expect(made.rollouts).not.toBe(before.rollouts);
    await db.app.query(
      'UPDATE rollout_configurations SET is_active = true, updated_at = :now::timestamptz WHERE id = :id',
      {
        id,
        now: service.now,
      },
    );
    expect((await assess()).rollouts).not.toBe(made.rollouts);
  });
});

describe('the idle period ends at', () => {
  const now = new Date('2026-03-01T12:00:00Z');
  const at = (minutes: number) => new Date(now.getTime() + minutes * 60_000);
  const calm = { isBusy: false, dueAt: null, rollouts: '', devices: [] };
  test.each([
    ['the next sweep if nothing is due', calm, [], at(60)],
    ['the deadline of an open update', { ...calm, dueAt: at(20) }, [null], at(20)],
    ['the time for which a rollout waits', calm, [at(90), at(30)], at(30)],
    ['nothing: not allowed if something is due soon', calm, [at(4)], undefined],
    ['nothing: not allowed while there is work', { ...calm, isBusy: true }, [], undefined],
  ])('%s', (_, assessment, dueAts, expected) => {
    expect(idleUntil(assessment, dueAts, 60, now)).toEqual(expected);
  });

  test('the system stays awake for five minutes between idle periods and after it was woken', () => {
    const idle = { state: 'idle', since: at(-60).toISOString(), until: now.toISOString(), devices: [] } as const;
    expect(isInIdleMode(idle, at(-1))).toBe(true);
    expect(isInIdleMode(idle, now)).toBe(false);
    expect([mayEnterIdle(idle, at(4)), mayEnterIdle(idle, at(5))]).toEqual([false, true]);
    const awake = { state: 'awake', since: now.toISOString() } as const;
    expect([isInIdleMode(awake, now), mayEnterIdle(awake, at(4)), mayEnterIdle(awake, at(5))]).toEqual([
      false,
      false,
      true,
    ]);
    expect(mayEnterIdle(undefined, now)).toBe(true);
  });
});

describe('a heartbeat is redundant', () => {
  const row = {
    device_id: 'd0',
    client_id: 'd0',
    certificate_id: null,
    mac_address: 'A0:B7:65:20:E9:55',
    device_model: 'esp32-s3',
    version: '1.0.0',
    online: true,
    facts: { slot_bytes: 1_310_720, site: 'rome' },
  };
  const known = new Map([[row.device_id, row]]);
  const said = (part: Partial<DeviceReport>) =>
    isRedundantHeartbeat(
      {
        deviceId: 'd0',
        clientId: 'd0',
        macAddress: null,
        model: null,
        version: '1.0.0',
        online: true,
        ...part,
      } as DeviceReport,
      known,
    );
  test('if it repeats what is stored, or a part of it', () => {
    expect(said({})).toBe(true);
    expect(said({ version: null, model: 'esp32-s3', macAddress: row.mac_address })).toBe(true);
  });
  const stating = (facts: Record<string, FactValue>) => ({
    facts: Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, { value, at: new Date() }])),
  });
  test('if it states the same facts, or others that change while a device runs', () => {
    expect(said(stating({ site: 'rome' }))).toBe(true);
    expect(said(stating({ battery_percent: 79, free_heap_bytes: 1, reset_reason: 'panic' }))).toBe(true);
  });
  test.each([
    ['another slot', stating({ slot_bytes: 1_048_576 })],
    ['a fact that it did not state before', stating({ board_revision: 'C' })],
    ['another version', { version: '1.0.1' }],
    ['another model', { model: 'esp32-c3' }],
    ['another MAC address', { macAddress: '00:00:00:00:00:01' }],
    ['another client id', { clientId: 'd0-new' }],
    ['a last will', { online: false }],
    ['an unknown device', { deviceId: 'd1' }],
  ])('but not with %s', (_, part) => {
    expect(said(part)).toBe(false);
  });
});
