import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ApiClient } from '../../api/client.ts';
import { CALLER, DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

const SECOND = 'arn:aws:sts::000000000000:assumed-role/Approver/grace';
const THIRD = 'arn:aws:iam::000000000000:user/third';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
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
  service = new TestService(db.app);
  service.requireApproval = true;
  api = new TestApi(db.app, () => service.now, { requireApproval: true });
  first = api.client;
  second = api.as(SECOND);
});

/** Approves what waits for a rollout as another person. */
async function approve(name = 'r', by = second) {
  const { approval } = await by.rollout(name);
  if (approval === null) throw new Error(`nothing waits for ${name}`);
  return by.decide(name, 'approve', { request_id: approval.request_id, reason: 'read it' });
}

/** A rollout that was approved, and has halted because every device failed. */
async function haltedRollout() {
  await first.createRollout({ ...DRAFT, failure_count: 1 });
  await approve();
  const devices = await service.tick();
  await service.fail(...devices);
  await service.tick();
  expect(await first.rollout('r')).toMatchObject({ state: 'halted', needs_approval: ['resume', 'retry'] });
  return devices;
}

const eventsOf = async (name = 'r') => (await first.decisions(name)).items.map(({ event }) => event);

describe('where a second person must approve', () => {
  test('a new rollout sends nothing until another person approves it', async () => {
    const created = await first.createRollout(DRAFT);
    expect(created).toMatchObject({
      state: 'draft',
      requested_action: 'start',
      needs_approval: ['start'],
      waiting_for: `approval by a second person: ${CALLER} requested its start`,
      approval: {
        action: 'start',
        devices: 3,
        requested_by: CALLER,
        refusal: 'you requested it, and a second person must approve it',
      },
    });
    expect(await service.tick()).toEqual([]);
    expect((await second.rollout('r')).approval).toMatchObject({ refusal: null });
    expect(await approve()).toMatchObject({ state: 'active', approval: null });
    expect(await service.tick()).toHaveLength(3);
    const events = (await first.decisions('r')).items;
    expect(events.map(({ event, decided_by }) => [event, decided_by])).toEqual([
      ['rollout_created', CALLER],
      ['rollout_approval_requested', CALLER],
      ['rollout_approved', SECOND],
      ['rollout_started', SECOND],
    ]);
    expect(events[1]).toMatchObject({ detail: { action: 'start', numbers: { devices: 3 } } });
    expect(events[2]).toMatchObject({ reason: 'read it', detail: { action: 'start', requestedBy: CALLER } });
  });

  test('the one who requested a start cannot approve it, nor by another session of the same role', async () => {
    const operator = api.as('arn:aws:sts::000000000000:assumed-role/Operator/ada');
    const otherSession = api.as('arn:aws:sts::000000000000:assumed-role/Operator/eve');
    await operator.createRollout(DRAFT);
    for (const person of [operator, otherSession]) {
      expect(await refusal(approve('r', person))).toMatchObject({ status: 403 });
    }
    expect(await service.tick()).toEqual([]);
    expect(await approve()).toMatchObject({ state: 'active' });
  });

  test.each([
    ['a repeated creation', () => first.createRollout(DRAFT)],
    ['a PATCH', async () => first.changeRollout('r', (await first.rollout('r')).updated_at, { is_active: true })],
    [
      'a PATCH with limits',
      async () =>
        first.changeRollout('r', (await first.rollout('r')).updated_at, { is_active: true, max_in_flight: 1 }),
    ],
  ])('%s does not start a draft', async (_, start) => {
    await first.createRollout({ ...DRAFT, is_active: false });
    expect(await first.rollout('r')).toMatchObject({ state: 'draft', requested_action: null });
    await start();
    expect(await first.rollout('r')).toMatchObject({ state: 'draft', requested_action: 'start' });
    expect(await service.tick()).toEqual([]);
    expect(await refusal(first.act('r', 'resume', 'now'))).toMatchObject({ status: 409 });
    expect(await refusal(first.act('r', 'retry', 'now'))).toMatchObject({ status: 409 });
    expect(await approve()).toMatchObject({ state: 'active' });
  });

  test('a change voids the request, and its number approves nothing any more', async () => {
    const { approval, updated_at } = await first.createRollout(DRAFT);
    const changed = await first.changeRollout('r', updated_at, { failure_threshold: 1 });
    expect(changed).toMatchObject({ state: 'draft', approval: null });
    const stale = { request_id: approval?.request_id ?? 0, reason: 'read it' };
    expect(await refusal(second.decide('r', 'approve', stale))).toMatchObject({ status: 409 });
    await first.changeRollout('r', changed.updated_at, { is_active: true });
    expect(await refusal(second.decide('r', 'approve', stale))).toMatchObject({ status: 409 });
    expect(await eventsOf()).toContain('rollout_request_voided');
    expect(await approve()).toMatchObject({ state: 'active', failure_threshold: 1 });
  });

  test('a change by SQL voids the request', async () => {
    const { approval } = await first.createRollout(DRAFT);
    await db.app.query(
      `UPDATE rollout_configurations SET target_filter = '{"device_ids": ["d0"]}', target_type = 'specific'`,
    );
    expect(await second.rollout('r')).toMatchObject({ approval: null, requested_action: null, waiting_for: null });
    const stale = { request_id: approval?.request_id ?? 0, reason: 'read it' };
    expect(await refusal(second.decide('r', 'approve', stale))).toMatchObject({ status: 409 });
  });

  test('an approval does not cover other bytes under the same version', async () => {
    await first.createRollout(DRAFT);
    await db.app.query(`UPDATE firmware_releases SET checksum_sha256 = repeat('b', 64) WHERE version = '2.0.0'`);
    expect(await refusal(approve())).toMatchObject({ status: 409 });
    expect(await first.rollout('r')).toMatchObject({ state: 'draft' });
  });

  test('of two people who approve at the same time one succeeds', async () => {
    const { approval } = await first.createRollout(DRAFT);
    const decision = { request_id: approval?.request_id ?? 0, reason: 'read it' };
    const answers = await Promise.allSettled([
      second.decide('r', 'approve', decision),
      api.as(THIRD).decide('r', 'approve', decision),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await eventsOf()).filter((event) => event === 'rollout_approved')).toHaveLength(1);
  });

  test('of an approval and a rejection at the same time one succeeds', async () => {
    const { approval } = await first.createRollout(DRAFT);
    const decision = { request_id: approval?.request_id ?? 0, reason: 'read it' };
    const [approved, rejected] = await Promise.allSettled([
      second.decide('r', 'approve', decision),
      api.as(THIRD).decide('r', 'reject', decision),
    ]);
    expect([approved.status, rejected.status].sort()).toEqual(['fulfilled', 'rejected']);
    const { state } = await first.rollout('r');
    expect(state).toBe(approved.status === 'fulfilled' ? 'active' : 'draft');
  });

  test('a rejected request leaves a draft that can be requested again', async () => {
    const { approval } = await first.createRollout(DRAFT);
    const decision = { request_id: approval?.request_id ?? 0, reason: 'not on a Friday' };
    expect(await second.decide('r', 'reject', decision)).toMatchObject({ state: 'draft', approval: null });
    expect((await first.decisions('r')).items.at(-1)).toMatchObject({
      event: 'rollout_rejected',
      reason: 'not on a Friday',
      decided_by: SECOND,
    });
    expect(await refusal(second.decide('r', 'approve', decision))).toMatchObject({ status: 409 });
    expect(await first.createRollout(DRAFT)).toMatchObject({ requested_action: 'start' });
  });

  test('a second request by another person is refused, so the first person stays the requester', async () => {
    await first.createRollout(DRAFT);
    const { updated_at } = await second.rollout('r');
    expect(await refusal(second.changeRollout('r', updated_at, { is_active: true }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('Approve or reject that'),
    });
    expect((await first.rollout('r')).approval).toMatchObject({ requested_by: CALLER });
  });

  test.each(['resume', 'retry'] as const)(
    'a %s after a halt waits, and a pause first does not get around it',
    async (action) => {
      const devices = await haltedRollout();
      expect(await refusal(first.act('r', 'pause', 'for a trick'))).toMatchObject({ status: 409 });
      expect(await first.act('r', action, 'fixed')).toMatchObject({
        state: 'halted',
        approval: { action, reason: 'fixed' },
        resume_devices: expect.any(Number),
      });
      service.later(1);
      expect(await service.tick()).toEqual([]);
      expect(await refusal(approve('r', first))).toMatchObject({ status: 403 });
      expect(await approve()).toMatchObject({ state: 'active', approval: null });
      if (action === 'retry') expect(await service.tick()).toHaveLength(devices.length);
    },
  );

  test('a resumption after a pause waits, and the limits can be changed before it is requested', async () => {
    await first.createRollout(DRAFT);
    await approve();
    const { updated_at } = await first.act('r', 'pause', 'lunch');
    await first.changeRollout('r', updated_at, { failure_threshold: 0.5 });
    expect(await first.act('r', 'resume', 'back')).toMatchObject({ state: 'paused', requested_action: 'resume' });
    expect(await service.tick()).toEqual([]);
    expect(await approve()).toMatchObject({ state: 'active', failure_threshold: 0.5 });
    expect(await service.tick()).toHaveLength(3);
  });

  test('a running rollout can be made stricter, not looser', async () => {
    await first.createRollout(DRAFT);
    const { updated_at } = await approve();
    expect(await refusal(first.changeRollout('r', updated_at, { failure_threshold: 1 }))).toMatchObject({
      status: 409,
    });
    await first.changeRollout('r', updated_at, { max_in_flight: 2, failure_count: 3 });
    expect(await service.tick()).toHaveLength(2);
    expect(await first.rollout('r')).toMatchObject({ state: 'active' });
  });

  test('a rollout that SQL starts halts before it sends, and its resumption waits', async () => {
    await addRollout(db.app, 'by SQL', '2.0.0', { stages: [] });
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('by SQL')).toMatchObject({
      state: 'halted',
      paused_by: 'orchestrator',
      paused_reason: expect.stringContaining('its present content has no approval'),
      needs_approval: ['resume', 'retry'],
    });
    expect(await first.act('by SQL', 'resume', 'as planned')).toMatchObject({ approval: { devices: 3 } });
    expect(await approve('by SQL')).toMatchObject({ state: 'active' });
    expect(await service.tick()).toHaveLength(3);
  });

  test.each([
    ['resumes', `paused_at = NULL, paused_reason = NULL, paused_by = NULL`],
    ['resumes in the name of a person', `paused_at = NULL, paused_by = 'ada'`],
  ])('a halted rollout that SQL %s halts again before it sends', async (_, change) => {
    await haltedRollout();
    await addDevices(db.app, 2, { prefix: 'new' });
    await db.app.query(`UPDATE rollout_configurations SET ${change}`);
    service.later(1);
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({ state: 'halted' });
  });

  test.each([
    [`firmware_version = '1.0.0', allow_downgrade = true`],
    [`target_type = 'all', target_filter = '{}'`],
    ['failure_threshold = 1'],
    [`allow_downgrade = true`],
  ])('a running rollout halts when SQL sets %s', async (change) => {
    await first.createRollout({ ...DRAFT, target_type: 'specific', target_filter: { device_ids: ['d0'] } });
    await approve();
    expect(await service.tick()).toEqual(['d0']);
    await db.app.query(`UPDATE rollout_configurations SET ${change}`);
    expect(await service.tick()).toEqual([]);
    expect(await first.rollout('r')).toMatchObject({ state: 'halted' });
  });

  test('an older version for one device waits, and a repeated call makes no second rollout', async () => {
    await addDevices(db.app, 1, { prefix: 'new', version: '2.0.0' });
    const body = { firmware_version: '1.0.0', allow_downgrade: true };
    const made = await first.updateDevice('new0', body);
    expect(made).toMatchObject({ state: 'draft', approval: { action: 'start', devices: 1 } });
    expect((await first.updateDevice('new0', body)).rollout_id).toBe(made.rollout_id);
    expect(await service.tick()).toEqual([]);
    await approve(made.name);
    expect(await service.tick()).toEqual(['new0']);
  });

  test('a draft whose release is not registered cannot be requested, and stepping stones are decided with the request', async () => {
    await first.createRollout({ ...DRAFT, firmware_version: '3.0.0', is_active: false });
    const { updated_at } = await first.rollout('r');
    const start = () => first.changeRollout('r', updated_at, { is_active: true });
    expect(await refusal(start())).toMatchObject({ status: 409, detail: expect.stringContaining('no release 3.0.0') });
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    expect(await start()).toMatchObject({ stepping_stones: ['2.0.0'], requested_action: 'start' });
    await approve();
    expect(await service.tick()).toHaveLength(3);
    expect(await first.rollout('r')).toMatchObject({ state: 'active' });
  });

  test('a recovery, a pause and an abort do not wait', async () => {
    await first.createRollout(DRAFT);
    await approve();
    const devices = await service.tick();
    await service.succeed(...devices);
    expect(await first.act('r', 'pause', 'it heats')).toMatchObject({ state: 'paused' });
    expect(await first.recover('r', 'it heats')).toMatchObject({ devices: 3 });
    await service.statuses(devices, '2.0.0');
    expect(service.sent.filter(({ version }) => version === '1.0.0')).toHaveLength(3);
    await service.tick();
    const [recovery] = (await first.previewRecovery('r')).recoveries;
    expect(recovery).toMatchObject({ state: 'active' });
    expect(await first.act('r', 'abort', 'it heats')).toMatchObject({ state: 'aborted' });
    const draft = await first.createRollout({ ...DRAFT, name: 'other' });
    expect(draft).toMatchObject({ requested_action: 'start' });
    expect(await first.act('other', 'abort', 'no')).toMatchObject({ state: 'aborted', approval: null });
  });

  test('what waits is in the list, in what needs attention, and in the answer about the service', async () => {
    await first.createRollout(DRAFT);
    expect((await first.rollouts()).items).toMatchObject([{ name: 'r', state: 'draft', requested_action: 'start' }]);
    expect((await first.fleet()).attention).toContainEqual({
      kind: 'approval_requested',
      message: `Rollout "r" waits for approval by a second person: ${CALLER} requested its start, for 3 devices`,
      link: expect.stringMatching(/^\/rollouts\/\d+$/),
    });
    expect(await first.info()).toMatchObject({ requires_approval: true, caller: CALLER });
    const rule = `the start of the rollout, which ${CALLER} requested, waits for approval by a second person`;
    expect(await first.explain('d0', { rollout: 'r' })).toMatchObject({ rule, next: 'nothing, until it is approved' });
    const warning = { code: 'NEEDS_APPROVAL', message: 'it sends nothing until a second person has approved it' };
    expect((await first.previewOf(await first.rollout('r'))).warnings).toContainEqual(warning);
    expect((await first.previewRollout({ ...DRAFT, name: 'other' })).warnings).toContainEqual(warning);
    await approve();
    expect((await first.previewOf(await first.rollout('r'))).warnings).toEqual([]);
  });
});

describe('where no approval is required', () => {
  beforeEach(() => {
    service.requireApproval = false;
    first = new TestApi(db.app, () => service.now).client;
  });

  test('one person starts and resumes, and SQL starts', async () => {
    expect(await first.createRollout({ ...DRAFT, failure_count: 1 })).toMatchObject({
      state: 'active',
      needs_approval: [],
    });
    const devices = await service.tick();
    await service.fail(...devices);
    await service.tick();
    expect(await first.rollout('r')).toMatchObject({ state: 'halted', needs_approval: [] });
    expect(await first.act('r', 'resume', 'on')).toMatchObject({ state: 'active', approval: null });
    await first.act('r', 'abort', 'over');
    await addRollout(db.app, 'by SQL', '2.0.0', { stages: [] });
    await service.tick();
    expect(await first.rollout('by SQL')).toMatchObject({ state: 'active' });
    expect(await first.info()).toMatchObject({ requires_approval: false });
  });

  test('rollouts that the API started go on when approval becomes required', async () => {
    await first.createRollout({ ...DRAFT, max_in_flight: 1 });
    await first.createRollout({ ...DRAFT, name: 'draft', is_active: false, priority: -1 });
    await first.changeRollout('draft', (await first.rollout('draft')).updated_at, { is_active: true });
    const { updated_at } = await first.rollout('r');
    await first.changeRollout('r', updated_at, { failure_threshold: 0.5, send_window: null });
    await service.tick();
    service.requireApproval = true;
    await service.tick();
    expect(await first.rollout('r')).toMatchObject({ state: 'active' });
    expect(await first.rollout('draft')).toMatchObject({ state: 'active' });
  });
});
