import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainByItsRollout, explainDevice } from '../../../core/explain/explain-device.ts';
import { NO_RULES, previewRollout } from '../../../core/explain/preview.ts';
import { describeState } from '../../../core/explain/rollout-status-text.ts';
import { recordRejectedUpload } from '../../../core/releases/index.ts';
import { abortRollout, stopRollout } from '../../../core/rollouts/index.ts';
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
  await addRelease(db.app, '2.0.0', { minVersion: '1.0.0' });
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [] };
const explain = (rollout: number, device = 'd0') => explainDevice(db.app, rollout, device, service.now);

test('explains a missing release by the rejection of its upload', async () => {
  await addDevices(db.app, 1);
  const id = await addRollout(db.app, 'r', '3.0.0', {});
  const missing = 'no release 3.0.0 is registered for esp32-s3';
  expect(await describeState(db.app, id, service.now)).toBe(`waiting: ${missing}`);
  await recordRejectedUpload(db.app, {
    objectKey: 'firmware/3.0.0/esp32-s3.bin',
    objectVersion: 'v1',
    sizeBytes: 5,
    verdict: 'TRUNCATED',
    message: 'the file ends in segment 2',
    image: {},
    uploadedAt: service.now,
    requestedBy: null,
    putBy: null,
    putFrom: null,
  });
  const because = `${missing}; its upload was rejected: TRUNCATED, the file ends in segment 2`;
  expect(await describeState(db.app, id, service.now)).toBe(`waiting: ${because}`);
  expect(await explain(id)).toMatchObject({ rule: because, next: 'it continues when the release is registered' });
});

describe('explains why a device is not on the version:', () => {
  const exclusions: [string, object, object, string, string][] = [
    ['another model', { model: 'esp32-c3' }, {}, 'is not of the model esp32-s3', 'does not target it'],
    ['not listed', {}, { target_filter: { device_ids: ['x'] } }, 'is not one of the devices', 'does not target it'],
    ['in no group', {}, { target_filter: { groups: ['beta'] } }, 'is in none of the groups', 'does not target it'],
    [
      'on a version that is not in the filter',
      {},
      { target_filter: { versions: ['1.1.0'] } },
      'is on 1.0.0, which is not in target_filter.versions',
      'does not target it',
    ],
    [
      'without the attributes',
      {},
      { target_filter: { metadata: { site: 'x' } } },
      'has no attribute site; target_filter.metadata asks for "x"',
      'does not target it',
    ],
    ['newer', { version: '2.1.0' }, {}, 'is on 2.1.0, which is newer than 2.0.0', 'downgrade'],
    ['on target', { version: 'v2.0.0' }, {}, 'already runs v2.0.0', 'done'],
    [
      'below the minimum',
      { version: '0.9.0' },
      {},
      'is on 0.9.0; 2.0.0 needs at least 1.0.0',
      'the first tick of the active rollout decides them',
    ],
    ['unknown', { version: 'unknown' }, {}, 'has not reported its version', 'until it reports one'],
    [
      'not started',
      {},
      { start_at: '2026-04-01T00:00:00Z' },
      'the rollout has not started',
      'it starts at 2026-04-01T00:00:00.000Z',
    ],
    ['draft', {}, { is_active: false }, 'the rollout is not active', 'until it is'],
    ['not examined yet', {}, {}, 'may be updated', 'assigned by the next tick'],
  ];
  test.each(exclusions)('%s', async (_, device, columns, rule, next) => {
    await addDevices(db.app, 1, device);
    const id = await addRollout(db.app, 'r', '2.0.0', columns as Record<string, unknown>);
    expect(await explain(id)).toMatchObject({
      rule: expect.stringContaining(rule),
      next: expect.stringContaining(next),
    });
  });

  test('in a later stage, with what the stage waits for', async () => {
    await addDevices(db.app, 10);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 1 }] });
    const [first] = await service.tick();
    const other = first === 'd0' ? 'd1' : 'd0';
    expect(await explain(id, other)).toMatchObject({
      rule: 'belongs to a later stage; the rollout is in stage 1',
      next: 'the stage is waiting for 1 more outcome',
    });
  });

  test('waiting for its turn in a slow start', async () => {
    await addDevices(db.app, 10);
    const id = await addRollout(db.app, 'r', '2.0.0');
    const [first] = await service.tick();
    expect((await explain(id, first === 'd0' ? 'd1' : 'd0'))?.next).toBe(
      'it waits for its turn: the slow start has let 1 device start, and is waiting for 1 device of this wave to end',
    );
  });

  test('out of reach, halted, updated by another rollout', async () => {
    await addDevices(db.app, 2);
    service.absent.add('d0');
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    expect((await explain(id))?.rule).toBe('has a pending update to 2.0.0, and is not connected');
    const other = await addRollout(db.app, 'light', '2.0.0', { ...AT_ONCE, priority: -1 });
    expect((await explain(other, 'd0'))?.rule).toBe('was updated by rollout "r", which has a higher priority');
    await stopRollout(db.app, { rolloutId: id, reason: 'no good', by: 'me' }, service.now);
    await service.tick();
    expect((await explain(id))?.rule).toContain('the rollout was stopped before the device fetched its image');
  });

  test('aborted, whether the device is in a later stage or canceled', async () => {
    await addDevices(db.app, 3);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 1 }] });
    const [first = ''] = await service.tick();
    await abortRollout(db.app, { rolloutId: id, reason: 'the wrong build', by: 'me' }, service.now);
    await service.tick();
    const other = first === 'd0' ? 'd1' : 'd0';
    const next = 'nothing: an aborted rollout does not continue';
    expect(await explain(id, other)).toEqual({
      rule: 'the rollout was aborted: the wrong build',
      since: service.now,
      next,
    });
    expect(await explain(id, first)).toMatchObject({ rule: expect.stringContaining('canceled in attempt 1'), next });
  });

  test('each step of an update', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    expect((await explain(id))?.rule).toBe('was sent 2.0.0 (attempt 1 of 3)');
    await service.fetch('d0');
    expect((await explain(id))?.rule).toBe('is downloading 2.0.0 (attempt 1 of 3)');
    await service.result('d0', 0);
    expect((await explain(id))?.rule).toBe('has installed 2.0.0 and must show that it boots');
    service.later(1);
    await service.status('d0', '1.0.0');
    expect(await explain(id)).toEqual({
      rule: 'rolled back in attempt 1: reported 1.0.0 again after a reboot: 2.0.0 did not boot',
      since: service.now,
      next: 'nothing, unless failed devices are retried',
    });
  });

  test('chooses the rollout that is updating the device, otherwise the newest that targets it', async () => {
    await addDevices(db.app, 2);
    const first = await addRollout(db.app, 'first', '2.0.0', AT_ONCE);
    const which = async (version: string | null = null) =>
      (await explainByItsRollout(db.app, 'd0', version, service.now))?.rolloutId;
    const others = await addRollout(db.app, 'others', '2.0.0', { target_filter: { groups: ['others'] } });
    expect(await which()).toBe(first);
    await service.tick();
    expect(await which()).toBe(first);
    const held = await addRollout(db.app, 'lighter', '2.0.0', { ...AT_ONCE, priority: -1 });
    expect(await which()).toBe(first);
    await service.succeed('d0');
    await abortRollout(db.app, { rolloutId: held, reason: 'no', by: 'me' }, service.now);
    expect(await which()).toBe(first);
    expect(await which('9.9.9')).toBeUndefined();
    expect(others).toBeGreaterThan(first);
  });

  test('chooses an active rollout, then one that is stopped or scheduled, then one that has ended, and a draft last', async () => {
    await addDevices(db.app, 1);
    const inOrder: number[] = [];
    const add = async (name: string, columns: object) =>
      inOrder.push(await addRollout(db.app, name, '2.0.0', { ...columns }));
    const ended = { completed_at: '2026-01-01' };
    await add('active and urgent', { priority: 1 });
    await add('active', {});
    await add('scheduled', { start_at: '2099-01-01', priority: 9 });
    await add('completed', ended);
    await add('aborted', { aborted_at: '2026-01-01', is_active: false });
    await add('draft', { is_active: false });
    const which = async () => (await explainByItsRollout(db.app, 'd0', null, service.now))?.rolloutId;
    for (const rollout of inOrder) {
      expect(await which()).toBe(rollout);
      await db.app.query('DELETE FROM rollout_configurations WHERE id = :rollout', { rollout });
    }
    const older = await addRollout(db.app, 'older', '2.0.0', { ...ended, priority: 5 });
    expect(await which()).toBe(older);
    expect(await which()).toBeLessThan(await addRollout(db.app, 'newer', '2.0.0', ended));
    expect(await which()).toBe(older + 1);
  });

  test('returns nothing for an unknown device or rollout', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0');
    expect(await explain(id)).toBeUndefined();
    expect(await explain(99)).toBeUndefined();
  });
});

describe('a preview', () => {
  const draft = newRollout({
    firmware_version: '2.0.0',
    device_model: 'esp32-s3',
    target_type: 'all',
    target_filter: {},
    rollout_percentage: 100,
    allow_downgrade: false,
    include_unknown: false,
    priority: 0,
    stepping_stones: null,
  });

  test('counts the devices that will be updated and the others by reason', async () => {
    await addDevices(db.app, 30);
    await addDevices(db.app, 9, { prefix: 'old', version: '0.9.0' });
    await addDevices(db.app, 5, { prefix: 'new', version: '2.1.0' });
    await addDevices(db.app, 4, { prefix: 'a-rather-long-device-id-', version: '1.0.0' });
    await addDevices(db.app, 3, { prefix: 'x', version: 'unknown' });
    await addDevices(db.app, 2, { prefix: 'c3', model: 'esp32-c3' });
    const fits = (length: number) => (length > 20 ? 'the command would not fit its packet' : undefined);
    const preview = await previewRollout(db.app, { ...draft, rollout_percentage: 50 }, { ...NO_RULES, fits });
    expect(preview).toEqual({
      matching: 51,
      excluded: 0,
      targeted: 26,
      willBeUpdated: 30,
      viaSteppingStone: 0,
      setApart: 0,
      steppingStones: [],
      stages: [{ devices: 26, willBeUpdated: null }],
      coverage: [],
      firstStage: 26,
      failedBefore: [],
      heldByOthers: [],
      held: [],
      keptByIssues: [],
      willNot: [
        { reason: 'below 1.0.0, and no stepping stone leads there', devices: 9 },
        { reason: 'newer than 2.0.0', devices: 5 },
        { reason: 'the command would not fit its packet', devices: 4 },
        { reason: 'unknown version', devices: 3 },
      ],
    });
  });

  test('counts devices assigned to another rollout: pending ones are taken over, others are waited for', async () => {
    await addDevices(db.app, 3);
    service.absent.add('d0');
    await addRollout(db.app, 'first', '2.0.0', { ...AT_ONCE, allow_downgrade: true });
    await service.tick();
    await addRelease(db.app, '3.0.0');
    const preview = await previewRollout(db.app, { ...draft, firmware_version: '3.0.0' }, NO_RULES);
    expect(preview.willBeUpdated).toBe(3);
    expect(preview.heldByOthers).toEqual([
      { rollout: 'first', status: 'under way', devices: 2 },
      { rollout: 'first', status: 'pending', devices: 1 },
    ]);
  });

  test('counts devices that are updated through a stepping stone', async () => {
    await addRelease(db.app, '1.0.0');
    await addDevices(db.app, 3, { version: '0.9.0' });
    expect(await previewRollout(db.app, draft, NO_RULES)).toMatchObject({
      willBeUpdated: 3,
      viaSteppingStone: 3,
      steppingStones: [{ version: '1.0.0', devices: 3 }],
    });
  });

  test('states that the release is missing', async () => {
    await addDevices(db.app, 1);
    expect((await previewRollout(db.app, { ...draft, firmware_version: '4.0.0' }, NO_RULES)).willNot).toEqual([
      { reason: 'release 4.0.0 is not registered for esp32-s3', devices: 1 },
    ]);
  });

  test('agrees with the assignment', async () => {
    await addDevices(db.app, 7);
    await addDevices(db.app, 2, { prefix: 'new', version: '2.1.0' });
    const { willBeUpdated } = await previewRollout(db.app, draft, NO_RULES);
    await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    expect(await service.tick()).toHaveLength(willBeUpdated);
  });
});
