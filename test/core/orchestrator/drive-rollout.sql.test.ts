import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eligibleVersions } from '../../../core/orchestrator/drive-rollout.ts';
import { NO_SIGNATURE_REQUIRED } from '../../../core/release-policy/index.ts';
import {
  abortRollout,
  loadRolloutRuntime,
  resumeRollout,
  retryFailed,
  stopRollout,
} from '../../../core/rollouts/index.ts';
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
  service = new TestService(db.app);
});

const AT_ONCE = { stages: [] };
const why = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const rolloutOf = async (name: string) => {
  const [row] = await db.app.query<{
    completed_at: Date | null;
    paused_reason: string | null;
    paused_by: string | null;
  }>('SELECT * FROM rollout_configurations WHERE name = :name', { name });
  return row;
};
const updateOf = async (device: string) => {
  const [row] = await db.app.query(
    'SELECT * FROM device_update_status WHERE device_id = :device ORDER BY id DESC LIMIT 1',
    {
      device,
    },
  );
  return row;
};
const countByStatus = async () => {
  const rows = await db.app.query<{ status: string; n: number }>(
    'SELECT status, count(*)::integer AS n FROM device_update_status GROUP BY status ORDER BY status',
  );
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
};
const eventTypes = async () => {
  const rows = await db.app.query<{ event_type: string }>(
    'SELECT event_type FROM ota_events WHERE device_id IS NULL ORDER BY id',
  );
  return rows.map(({ event_type }) => event_type);
};

describe('stages', () => {
  const STAGES = [{ percentage: 10, soak_minutes: 30 }, { percentage: 50 }];

  test('advance automatically to the last, each after its gate was met for its soak time', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    const first = await service.tick();
    expect(first).toHaveLength(2);
    await service.succeed(...first);
    expect(await service.tick()).toEqual([]);
    service.later(29);
    expect(await service.tick()).toEqual([]);
    service.later(1);
    const second = await service.tick();
    expect(second).toHaveLength(8);
    await service.succeed(...second);
    await service.tick();
    const rest = await service.tick();
    expect(rest.length + service.sent.length - 10).toBeGreaterThanOrEqual(10);
    await service.succeed(...service.sent.slice(10).map(({ deviceId }) => deviceId));
    await service.tick();
    await service.tick();
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
    expect(await countByStatus()).toEqual({ success: 20 });
    expect(await eventTypes()).toEqual([
      'rollout_started',
      'rollout_stage_began',
      'rollout_stage_began',
      'rollout_completed',
    ]);
  });

  test('need outcomes only of the devices that they add and that are not on the target yet', async () => {
    await addDevices(db.app, 6);
    await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 1 }, { count: 3 }, { count: 5 }] });
    const [first] = await service.tick();
    await service.succeed(first ?? '');
    const [, other] = [...(await service.tick())];
    await service.tick();
    const second = service.sent.slice(1).map(({ deviceId }) => deviceId);
    expect(second).toHaveLength(2);
    expect(second).toContain(other);
    // A member of the third stage is flashed by cable.
    const third = await db.app.query<{ device_id: string }>(
      `SELECT device_id FROM devices ORDER BY md5((SELECT id FROM rollout_configurations) || ':' || device_id) OFFSET 3 LIMIT 1`,
    );
    await service.status(third[0]?.device_id ?? '', '2.0.0');
    await service.succeed(...second);
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(service.sent).toHaveLength(4);
    await service.succeed(...service.sent.slice(3).map(({ deviceId }) => deviceId));
    for (let ticks = 0; ticks < 3; ticks++) await service.tick();
    expect(service.sent).toHaveLength(5);
  });

  test('reach devices that join later by their hash, and keep the devices already reached', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0', { stages: STAGES });
    const first = await service.tick();
    await addDevices(db.app, 200, { prefix: 'late' });
    const joined = await service.tick();
    expect(joined.length).toBeGreaterThan(5);
    expect(joined.length).toBeLessThan(50);
    expect(joined.some((device) => first.includes(device))).toBe(false);
  });

  test('of a rollout without settings start with one device of twenty', async () => {
    await addDevices(db.app, 20);
    await addRollout(db.app, 'r', '2.0.0');
    expect(await service.tick()).toHaveLength(1);
    expect(await service.tick()).toHaveLength(0);
  });

  test('of a slow start give no place in a wave to a device out of reach', async () => {
    await addDevices(db.app, 3);
    for (const device of ['d0', 'd1']) service.absent.add(device);
    await addRollout(db.app, 'r', '2.0.0');
    for (let n = 0; n < 3; n++) await service.tick();
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d2']);
  });
});

describe('a halt', () => {
  test('cancels pending and unfetched updates, and lets downloads finish', async () => {
    await addDevices(db.app, 4);
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    service.absent.add('d3');
    await service.tick();
    expect(await service.fetch('d0')).toBe('open');
    await stopRollout(db.app, why(id), service.now);
    await service.tick();
    expect(await countByStatus()).toEqual({ canceled: 3, downloading: 1 });
    expect(await service.fetch('d1')).toBe('over');
    await service.succeed('d0');
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'success' });
    expect(await rolloutOf('r')).toMatchObject({ paused_reason: 'because', paused_by: 'an operator' });
  });

  test('does not count a failure after its link answered 410', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await stopRollout(db.app, why(id), service.now);
    await service.tick();
    await service.result('d0', 2);
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'canceled' });
  });

  test('happens automatically after too many failures and lasts until somebody resumes', async () => {
    await addDevices(db.app, 10);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 3 });
    await service.tick();
    for (const device of ['d0', 'd1', 'd2']) await service.fail(device);
    await service.tick();
    expect(await rolloutOf('r')).toMatchObject({ paused_reason: null });
    await service.fail('d3');
    await service.tick();
    expect(await rolloutOf('r')).toMatchObject({
      paused_reason: '4 of 10 devices failed; the rollout allows 10%',
      paused_by: 'orchestrator',
    });
    service.later(600);
    expect(await service.tick()).toEqual([]);
    expect(await countByStatus()).toEqual({ canceled: 6, failed: 4 });
  });

  test('because of an invalid filter states what is wrong', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { target_filter: { device_idz: ['d0'] } });
    expect(await service.tick()).toEqual([]);
    expect((await rolloutOf('r'))?.paused_reason).toBe('target_filter: device_idz: there is no such field');
  });
});

describe('an operator', () => {
  test('resumes: canceled updates are assigned again and the gates are reset', async () => {
    await addDevices(db.app, 10);
    const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 3 });
    await service.tick();
    await service.fail('d0', 'd1', 'd2', 'd3');
    await service.tick();
    expect(await resumeRollout(db.app, why(id), service.now)).toBe(true);
    expect(await resumeRollout(db.app, why(id), service.now)).toBe(false);
    expect(await service.tick()).toHaveLength(6);
    expect(await rolloutOf('r')).toMatchObject({ paused_reason: null });
    expect(await countByStatus()).toEqual({ canceled: 6, failed: 4, sent: 6 });
  });

  test('resumes: the stage is repeated with as many new devices as it had added', async () => {
    await addDevices(db.app, 20);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 3 }, { count: 5 }] });
    await service.succeed(...(await service.tick()));
    await service.tick();
    const second = service.sent.slice(3).map(({ deviceId }) => deviceId);
    expect(second).toHaveLength(2);
    await service.fail(...second);
    await service.tick();
    expect((await rolloutOf('r'))?.paused_reason).toContain('stage 2');
    await resumeRollout(db.app, why(id), service.now);
    expect(await service.tick()).toHaveLength(2);
  });

  test('resumes a slow start with the wave that it had', async () => {
    await addDevices(db.app, 20);
    const id = await addRollout(db.app, 'r', '2.0.0');
    await service.tick();
    await stopRollout(db.app, why(id), service.now);
    await service.tick();
    await resumeRollout(db.app, why(id), service.now);
    await service.tick();
    expect(service.sent).toHaveLength(2);
  });

  test('aborts for good', async () => {
    await addDevices(db.app, 3);
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    expect(await abortRollout(db.app, why(id), service.now)).toBe(true);
    expect(await resumeRollout(db.app, why(id), service.now)).toBe(false);
    expect(await service.tick()).toEqual([]);
    expect(await countByStatus()).toEqual({ canceled: 3 });
  });

  test('retries failed devices, also of a completed rollout', async () => {
    await addDevices(db.app, 4);
    const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1 });
    await service.tick();
    await service.fail('d0');
    await service.succeed('d1', 'd2', 'd3');
    for (let n = 0; n < 3; n++) await service.tick();
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
    expect(await retryFailed(db.app, why(id), ['1.0.0'], service.now)).toBe(1);
    expect(await service.tick()).toEqual(['d0']);
    await service.succeed('d0');
    for (let n = 0; n < 3; n++) await service.tick();
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
    expect(await countByStatus()).toEqual({ failed: 1, success: 4 });
  });

  test('retries failed devices while a tick is about to complete the rollout', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1, failure_count: 5 });
    await service.tick();
    await service.fail('d0');
    await service.tick();
    service.later(10);
    let retried = 0;
    service.sql = {
      async query(sql, values) {
        if (sql.includes('SET completed_at =')) retried += await retryFailed(db.app, why(id), ['1.0.0'], service.now);
        return db.app.query(sql, values);
      },
    };
    while (retried === 0) await service.tick();
    service.sql = db.app;
    expect((await rolloutOf('r'))?.completed_at).toBeNull();
    expect(await service.tick()).toEqual(['d0']);
  });

  test('cannot retry devices that may no longer be updated, and does not undo a halt by trying', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_count: 1 });
    await service.tick();
    await service.fail('d0');
    await service.tick();
    const rollout = await loadRolloutRuntime(db.app, id);
    await service.status('d0', '3.0.0');
    const versions =
      rollout === undefined ? [] : await eligibleVersions(db.app, rollout, NO_SIGNATURE_REQUIRED, service.now);
    expect(versions).toEqual([]);
    expect(await retryFailed(db.app, why(id), versions, service.now)).toBe(0);
    expect((await rolloutOf('r'))?.paused_reason).not.toBeNull();
  });

  test('has every decision about a rollout created by SQL in the history, with the numbers at that time', async () => {
    await addDevices(db.app, 2);
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await stopRollout(db.app, why(id), service.now);
    const [event] = await db.app.query(`SELECT payload FROM ota_events WHERE event_type = 'rollout_paused'`);
    expect(event).toEqual({
      payload: {
        reason: 'because',
        by: 'an operator',
        numbers: { stage: 0, assigned: 2, succeeded: 0, failed: 0, canceled: 0, silent: 0 },
      },
    });
  });
});

describe('attempts', () => {
  test('a failed download is retried directly, and each reason is kept', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 2);
    expect(await updateOf('d0')).toMatchObject({
      status: 'pending',
      attempt: 1,
      error_message: 'download failed (2): code 2',
    });
    expect(await service.tick()).toEqual([]);
    service.later(4);
    expect(await service.tick()).toEqual(['d0']);
    await service.succeed('d0');
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'success', attempt: 2 });
    expect(
      await db.app.query('SELECT attempt, delivery, status, reason FROM update_attempts ORDER BY attempt'),
    ).toEqual([
      { attempt: 1, delivery: 'redirect', status: 'failed', reason: 'download failed (2): code 2' },
      { attempt: 2, delivery: 'direct', status: 'success', reason: null },
    ]);
  });

  test('a device that reports before its retry is due waits too', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.result('d0', 1);
    await service.status('d0', '1.0.0');
    expect(service.sent).toHaveLength(1);
  });

  test('a command that nobody acknowledged goes to the other topic family', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    service.later(16);
    await service.tick();
    service.later(4);
    await service.tick();
    expect(service.sent.map(({ family }) => family)).toEqual(['devices', 'edge']);
  });

  test('the last failure is final', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, max_attempts: 2 });
    for (let n = 0; n < 2; n++) {
      await service.tick();
      await service.result('d0', 7);
      service.later(4);
    }
    expect(await updateOf('d0')).toMatchObject({
      status: 'failed',
      attempt: 2,
      error_message: expect.stringContaining('timeout (7): code 7'),
    });
  });

  test('a report after the deadline replaces the retry', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    service.later(16);
    await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'pending' });
    await service.fetch('d0');
    expect(await updateOf('d0')).toMatchObject({ status: 'downloading', attempt: 1 });
    service.later(5);
    expect(await service.tick()).toEqual([]);
  });

  test('a device that started and went silent counts as failed while it is silent', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 1 });
    await service.tick();
    for (const device of ['d0', 'd1']) {
      await service.fetch(device);
      service.absent.add(device);
    }
    service.later(16);
    await service.tick();
    service.later(4);
    await service.tick();
    await service.tick();
    expect((await rolloutOf('r'))?.paused_reason).toBe('2 of 2 devices went silent; the rollout allows 10%');
  });

  test('a device that was updated by other means is recognized and its update closed', async () => {
    await addDevices(db.app, 2);
    for (const device of ['d0', 'd1']) service.absent.add(device);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    service.absent.clear();
    await service.status('d0', 'v2.0.0');
    await service.status('d1', '3.0.0');
    expect(service.sent).toEqual([]);
    expect(await updateOf('d0')).toMatchObject({
      status: 'canceled',
      error_message: 'not sent: the device already runs 2.0.0',
    });
    expect(await updateOf('d1')).toMatchObject({
      status: 'canceled',
      error_message: 'not sent: the device now runs 3.0.0',
    });
  });

  test('a late success is recorded and does not count as a failure', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, failure_threshold: 1, keep_open: true });
    await service.tick();
    await service.fail('d0');
    service.later(60);
    await service.status('d0', '2.0.0');
    expect(await updateOf('d0')).toMatchObject({ status: 'failed', late_success_at: service.now });
  });
});

describe('pace', () => {
  test('nothing is assigned before the start time', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, start_at: '2026-03-02T13:00:00Z' });
    expect(await service.tick()).toEqual([]);
    service.later(60);
    expect(await service.tick()).toEqual(['d0']);
  });

  test('nothing is sent outside the send window, even to a device that reports', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, send_window: { from: '22:00', to: '23:00' } });
    expect(await service.tick()).toEqual([]);
    await service.status('d0', '1.0.0');
    expect(service.sent).toEqual([]);
    service.later(10 * 60);
    expect(await service.tick()).toEqual(['d0']);
  });

  test('a send window that closes between two ticks is respected', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'r', '2.0.0', {
      ...AT_ONCE,
      send_window: { from: '11:00', to: '12:01' },
      max_in_flight: 1,
    });
    expect(await service.tick()).toHaveLength(1);
    service.later(1);
    await service.fail(service.sent[0]?.deviceId ?? '');
    await service.status(service.sent[0]?.deviceId === 'd0' ? 'd1' : 'd0', '1.0.0');
    expect(service.sent).toHaveLength(1);
  });

  test('jitter spreads the first commands', async () => {
    await addDevices(db.app, 200);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, jitter_minutes: 100, max_attempts: 1, failure_threshold: 1 });
    await service.tick();
    const counts: number[] = [service.sent.length];
    for (let n = 0; n < 10; n++) {
      service.later(10);
      counts.push((await service.tick()).length);
    }
    expect(service.sent).toHaveLength(200);
    expect(Math.max(...counts)).toBeLessThan(45);
  });

  test('jitter counts from the return of devices: after a power cut, a site is not served at once', async () => {
    await addDevices(db.app, 50);
    const site = Array.from({ length: 50 }, (_, n) => `d${n}`);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, jitter_minutes: 100, max_attempts: 1, failure_threshold: 1 });
    for (const device of site) service.absent.add(device);
    await service.tick();
    service.later(100);
    await service.tick();
    expect(await db.app.query('SELECT device_id FROM device_update_status WHERE unreachable_since IS NULL')).toEqual(
      [],
    );
    service.absent.clear();
    await service.statuses(site, '1.0.0');
    expect(service.sent).toEqual([]);
    const counts: number[] = [];
    for (let n = 0; n < 10; n++) {
      service.later(10);
      counts.push((await service.tick()).length);
    }
    expect(service.sent).toHaveLength(50);
    expect(Math.max(...counts)).toBeLessThan(15);
  });

  test('a device that sleeps through the time that the jitter gave it gets its command when it wakes next', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, jitter_minutes: 100 });
    service.absent.add('d0');
    service.later(100);
    await service.tick();
    service.later(100);
    await service.tick();
    await service.status('d0', '1.0.0');
    service.later(100);
    await service.tick();
    expect(service.sent).toEqual([]);
    service.absent.clear();
    await service.status('d0', '1.0.0');
    expect(service.sent).toHaveLength(1);
  });
});

describe('two rollouts', () => {
  beforeEach(() => addRelease(db.app, '3.0.0'));

  test('the newer one takes over what the older one has not sent', async () => {
    await addDevices(db.app, 6);
    for (let n = 1; n < 6; n++) service.absent.add(`d${n}`);
    await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
    await service.tick();
    service.absent.clear();
    await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
    expect(await service.tick()).toEqual(['d1', 'd2', 'd3', 'd4', 'd5']);
    expect(service.sent.map(({ version }) => version)).toEqual(['2.0.0', '3.0.0', '3.0.0', '3.0.0', '3.0.0', '3.0.0']);
    await service.succeed('d0');
    await service.tick();
    expect(service.sent.at(-1)).toMatchObject({ deviceId: 'd0', version: '3.0.0' });
  });

  test('the one with the higher priority gets the devices, whatever their ages', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'older', '3.0.0', { ...AT_ONCE, priority: 5 });
    await addRollout(db.app, 'newer', '2.0.0', { ...AT_ONCE, allow_downgrade: true });
    await service.tick();
    expect(service.sent).toMatchObject([{ version: '3.0.0' }]);
  });

  test('a device does not alternate between the two', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'older', '2.0.0', { ...AT_ONCE, allow_downgrade: true, keep_open: true });
    await addRollout(db.app, 'newer', '3.0.0', { ...AT_ONCE, allow_downgrade: true, keep_open: true });
    for (let n = 0; n < 5; n++) {
      await service.tick();
      if (service.sent.length > n) await service.succeed('d0');
    }
    expect(service.sent.map(({ version }) => version)).toEqual(['3.0.0']);
  });

  test('a rollout does not complete while another one has an open update of its devices', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'first', '2.0.0', {
      ...AT_ONCE,
      target_type: 'specific',
      target_filter: { device_ids: ['d0'] },
    });
    await service.tick();
    await addRollout(db.app, 'second', '3.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d1');
    await service.tick();
    await service.tick();
    expect((await rolloutOf('second'))?.completed_at).toBeNull();
  });
});

describe('versions', () => {
  test('a stepping stone comes first if the device is below the minimum version', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '3.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d0');
    await service.tick();
    await service.succeed('d0');
    await service.tick();
    await service.tick();
    expect(service.sent.map(({ version }) => version)).toEqual(['2.0.0', '3.0.0']);
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
  });

  test('an image that embeds another version halts the rollout', async () => {
    await addDevices(db.app, 3);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    for (const device of ['d0', 'd1']) {
      await service.fetch(device);
      await service.result(device, 0);
    }
    service.later(1);
    for (const device of ['d0', 'd1']) await service.status(device, '2.0.0-rc1');
    await service.tick();
    expect((await rolloutOf('r'))?.paused_reason).toBe(
      'the image embeds version 2.0.0-rc1: 2 devices installed it and report that version',
    );
  });
});

describe('the end', () => {
  test('no device joins a completed rollout, unless it is kept open', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    await service.succeed('d0');
    await service.tick();
    await service.tick();
    expect((await rolloutOf('r'))?.completed_at).not.toBeNull();
    await addRollout(db.app, 'open', '2.0.0', { ...AT_ONCE, keep_open: true });
    await service.tick();
    await addDevices(db.app, 1, { prefix: 'late' });
    expect(await service.tick()).toEqual(['late0']);
    expect((await rolloutOf('open'))?.completed_at).toBeNull();
  });

  test('a device that could never be reached does not count as a failure', async () => {
    await addDevices(db.app, 1);
    service.absent.add('d0');
    await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, min_reports: 1 });
    await service.tick();
    service.later(31 * 24 * 60);
    for (let n = 0; n < 3; n++) await service.tick();
    expect(await updateOf('d0')).toMatchObject({ status: 'timed_out' });
    expect(await rolloutOf('r')).toMatchObject({ paused_reason: null, completed_at: expect.any(Date) });
  });
});
