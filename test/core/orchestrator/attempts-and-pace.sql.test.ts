import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { RolloutRows } from '../../support/rollout-rows.ts';
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
const { rolloutOf, updateOf } = new RolloutRows(() => db.app);

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
