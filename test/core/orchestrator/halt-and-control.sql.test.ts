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
const why = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const { rolloutOf, updateOf, countByStatus } = new RolloutRows(() => db.app);

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
