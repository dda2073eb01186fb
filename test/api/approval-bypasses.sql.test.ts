import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ApiClient } from '../../api/client.ts';
import type { RolloutDraft } from '../../api/rollouts.ts';
import { CALLER, DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

// Ways in which one person could send more than a second person has approved.

const SECOND = 'arn:aws:iam::000000000000:user/second';

let db: TestDatabase;
let service: TestService;
let first: ApiClient;
let second: ApiClient;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '1.0.0');
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 3);
  await db.app.query(`UPDATE devices SET registered_at = '2020-01-01'`);
  service = new TestService(db.app, db.roles);
  service.requireApproval = true;
  const api = new TestApi(db.app, () => service.now, { requireApproval: true });
  first = api.client;
  second = api.as(SECOND);
});

async function approve(name = 'r') {
  const { approval } = await second.rollout(name);
  if (approval === null) throw new Error(`nothing waits for ${name}`);
  return second.decide(name, 'approve', { request_id: approval.request_id, reason: 'read it' });
}

/** A rollout that a second person has approved. */
async function approved(draft: Partial<RolloutDraft> = {}) {
  await first.createRollout({ ...DRAFT, ...draft });
  return approve();
}

const TWO_STAGES = [{ count: 1, soak_minutes: 60 }, { percentage: 100 }];

describe('a release that is changed after the approval', () => {
  const CHANGES = [
    `checksum_sha256 = repeat('b', 64)`,
    `object_key = 'releases/y.bin'`,
    'file_size = 999',
    `min_version = '0.1.0'`,
    `chip = 'ESP32-C3'`,
    `project_name = 'other'`,
    `app_version = '3.0.0'`,
    `image = '{"descriptor": {"secureVersion": 7}}'`,
  ];

  test.each(CHANGES)('halts the rollout: %s', async (change) => {
    await approved();
    await db.app.query(`UPDATE firmware_releases SET ${change} WHERE version = '2.0.0'`);
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({ state: 'halted', needs_approval: ['resume', 'retry'] });
  });

  test.each(CHANGES.filter((change) => !change.startsWith('chip')))('cannot be approved: %s', async (change) => {
    await first.createRollout(DRAFT);
    await db.app.query(`UPDATE firmware_releases SET ${change} WHERE version = '2.0.0'`);
    expect(await refusal(approve())).toMatchObject({ status: 409 });
    expect(await first.rollout('r')).toMatchObject({ state: 'draft', approval: null });
    expect((await first.decisions('r')).items.at(-1)).toMatchObject({
      event: 'rollout_request_voided',
      reason: 'a release was changed after its start was requested',
    });
  });

  test('halts it also if it is a stepping stone', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await approved({ firmware_version: '3.0.0' });
    await db.app.query(`UPDATE firmware_releases SET min_version = '0.9.0' WHERE version = '2.0.0'`);
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({ state: 'halted' });
  });

  test('keeps its approval if only a signature is added, which changes nothing that is sent', async () => {
    await approved();
    await db.app.query(`UPDATE firmware_releases SET is_signed = true, signing_key = repeat('c', 64)`);
    expect(await service.tick()).toHaveLength(3);
  });
});

describe('one person alone', () => {
  test('cannot resume a paused rollout, which would forget its failures and repeat its stage', async () => {
    await approved({ failure_count: 2 });
    const devices = await service.tick();
    await service.fail(devices[0] ?? '');
    await first.act('r', 'pause', 'before it halts');
    expect(await first.act('r', 'resume', 'on')).toMatchObject({ state: 'paused', requested_action: 'resume' });
    service.later(1);
    expect(await service.tick()).toEqual([]);
    expect(await approve()).toMatchObject({ state: 'active' });
  });

  test.each([
    ['paused_at', `paused_at = now()`, 'paused_at = NULL'],
    ['is_active', 'is_active = false', 'is_active = true'],
  ])('cannot do the same by SQL with %s', async (_, pause, resume) => {
    await approved({ failure_count: 2 });
    const devices = await service.tick();
    await service.fail(devices[0] ?? '');
    await db.app.query(`UPDATE rollout_configurations SET ${pause}`);
    await service.tick();
    await db.app.query(`UPDATE rollout_configurations SET ${resume}`);
    service.later(1);
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({ state: 'halted' });
  });

  test('cannot retry failed devices before the rollout halts', async () => {
    await approved({ failure_count: 2 });
    const devices = await service.tick();
    await service.fail(devices[0] ?? '');
    expect(await first.act('r', 'retry', 'again')).toMatchObject({ state: 'active', requested_action: 'retry' });
    service.later(1);
    expect(await service.tick()).toEqual([]);
    expect(await approve()).toMatchObject({ state: 'active' });
    expect(await service.tick()).toEqual([devices[0]]);
  });

  test('cannot start the next stage before its gate', async () => {
    await approved({ stages: TWO_STAGES });
    expect(await service.tick()).toHaveLength(1);
    expect(await first.act('r', 'advance', 'hurry')).toMatchObject({ stage: 0, approval: { action: 'advance' } });
    expect(await service.tick()).toEqual([]);
    expect(await refusal(first.decide('r', 'approve', await requestOf('r')))).toMatchObject({ status: 403 });
    expect(await approve()).toMatchObject({ stage: 1, approval: null });
    expect(await service.tick()).toHaveLength(2);
    const events = (await first.decisions('r')).items.map(({ event }) => event);
    expect(events).toEqual(expect.arrayContaining(['rollout_approved', 'rollout_advanced']));
  });

  test.each([{ min_reports: 1 }, { min_reports: 9 }, { failure_count: null }, { max_in_flight: null }])(
    'cannot loosen a running rollout: %j',
    async (change) => {
      const { updated_at } = await approved({ min_reports: 5, failure_count: 3, max_in_flight: 2 });
      expect(await refusal(first.changeRollout('r', updated_at, change))).toMatchObject({ status: 409 });
    },
  );

  test.each([
    ['aborted', 'aborted_at = NULL, paused_at = NULL, is_active = true'],
    ['completed', 'completed_at = NULL'],
  ])('cannot bring back a rollout that has %s by SQL', async (end, change) => {
    await approved({ probation_minutes: 0 });
    const devices = await service.tick();
    await service.succeed(...devices);
    if (end === 'aborted') await first.act('r', 'abort', 'over');
    else await service.tick();
    expect((await first.rollout('r')).state).toBe(end);
    await addDevices(db.app, 2, { prefix: 'new' });
    await db.app.query(`UPDATE rollout_configurations SET ${change}`);
    service.later(1);
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({ state: 'halted' });
  });

  test('cannot send a halted release again by a recovery of its recovery', async () => {
    await approved({ probation_minutes: 0 });
    await service.succeed(...(await service.tick()));
    await first.act('r', 'pause', 'it heats');
    await first.recover('r', 'it heats');
    await service.statuses(['d0', 'd1', 'd2'], '2.0.0');
    await service.succeed('d0', 'd1', 'd2');
    await service.tick();
    const [recovery] = (await first.previewRecovery('r')).recoveries;
    const name = recovery?.name ?? '';
    expect(await first.previewRecovery(name)).toMatchObject({ can_recover: false });
    expect(await refusal(first.recover(name, 'forward again'))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('a second person must approve'),
    });
  });

  test('cannot send a newer version by the recovery of a downgrade', async () => {
    await db.app.query(`UPDATE devices SET current_firmware_version = '2.0.0'`);
    await approved({ firmware_version: '1.0.0', allow_downgrade: true, probation_minutes: 0 });
    await service.succeed(...(await service.tick()));
    await service.tick();
    const plan = await first.recover('r', 'forward again');
    expect(plan).toMatchObject({ devices: 0, cannot: [{ devices: 3 }] });
    expect(plan.cannot[0]?.reason).toContain('release 2.0.0 is newer than 1.0.0, and a second person must approve it');
  });

  test('cannot repeat an approved rollout under another name', async () => {
    await approved();
    expect(await first.createRollout({ ...DRAFT, name: 'copy' })).toMatchObject({
      state: 'draft',
      approval: { action: 'start', requested_by: CALLER },
    });
  });
});

describe('devices that come into the target after the approval', () => {
  const group = (device: string, groups: string[]) => first.setGroups(device, groups);
  const BENCH: Partial<RolloutDraft> = { target_type: 'group', target_filter: { groups: ['bench'] } };

  test.each<[string, Partial<RolloutDraft>, (device: string) => Promise<unknown>]>([
    ['by their group', BENCH, (device: string) => group(device, ['bench'])],
    [
      'by their attributes',
      { target_filter: { metadata: { ring: 'bench' } } },
      (device: string) => first.setAttributes(device, { ring: 'bench' }),
    ],
  ])('%s halt it before it sends to more devices than were approved', async (_, target, join) => {
    await join('d0');
    await approved(target);
    await service.succeed(...(await service.tick()));
    await join('d1');
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({
      state: 'halted',
      paused_reason: expect.stringContaining('2 devices are targeted, and a second person has approved 1'),
    });
    await first.act('r', 'resume', 'one more van');
    await approve();
    expect(await service.tick()).toEqual(['d1']);
  });

  test('do not halt one that sends to a percentage of its devices, by way of a stepping stone', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await addDevices(db.app, 7, { prefix: 'e' });
    await db.app.query(`UPDATE devices SET registered_at = '2020-01-01'`);
    await approved({ firmware_version: '3.0.0', rollout_percentage: 34, probation_minutes: 0 });
    const devices = await service.tick();
    expect(devices).toHaveLength(4);
    await service.succeed(...devices);
    expect((await service.tick()).sort()).toEqual(devices.sort());
    expect(await first.rollout('r')).toMatchObject({ state: 'active' });
  });

  test('by their registration go on', async () => {
    await group('d0', ['bench']);
    await approved(BENCH);
    expect(await service.tick()).toEqual(['d0']);
    await addDevices(db.app, 1, { prefix: 'new' });
    await group('new0', ['bench']);
    await db.app.query(`UPDATE devices SET registered_at = '2100-01-01' WHERE device_id = 'new0'`);
    expect(await service.tick()).toEqual(['new0']);
  });

  test('go on in a rollout that was approved to stay open', async () => {
    await group('d0', ['bench']);
    await approved({ ...BENCH, keep_open: true });
    expect(await service.tick()).toEqual(['d0']);
    await group('d1', ['bench']);
    expect(await service.tick()).toEqual(['d1']);
  });
});

async function requestOf(name: string) {
  const { approval } = await second.rollout(name);
  return { request_id: approval?.request_id ?? 0, reason: 'read it' };
}
