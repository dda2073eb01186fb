import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signingSchema } from '../../core/release-policy/index.ts';
import { CALLER, DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
  client = new TestApi(db.roles.control, () => service.now).client;
});

describe('a draft', () => {
  const PLAN = { ...DRAFT, name: 'march', is_active: false, start_at: '2027-03-01T00:00:00.000Z' };

  test('is replaced as a whole, under the same id, and starts as it is then', async () => {
    await addDevices(db.app, 3);
    const { rollout_id: id, updated_at: read } = await client.createRollout(PLAN);
    const moved = { ...PLAN, name: 'april', start_at: '2027-04-01T00:00:00.000Z', priority: 3, give_up_days: 7 };
    const changed = await client.replaceDraft(id, read, { ...moved, target_filter: { versions: ['1.0.0'] } });
    expect(changed).toMatchObject({ ...moved, rollout_id: id, state: 'draft', target_filter: { versions: ['1.0.0'] } });
    expect(changed.updated_at > read).toBe(true);
    const { items } = await client.decisions(id);
    expect(items).toContainEqual(expect.objectContaining({ event: 'rollout_changed', decided_by: CALLER }));
    // The name is free again.
    expect((await client.createRollout(PLAN)).rollout_id).not.toBe(id);
    await client.changeRollout(id, changed.updated_at, { is_active: true });
    expect(await client.rollout(id)).toMatchObject({ name: 'april', state: 'scheduled' });
  });

  test('that was made before its release gets its stepping stones when it is replaced', async () => {
    await addDevices(db.app, 3);
    const plan = { ...PLAN, firmware_version: '3.0.0' };
    const early = await client.createRollout(plan);
    expect(early).toMatchObject({ stepping_stones: null });
    await addRelease(db.app, '2.5.0');
    await addRelease(db.app, '3.0.0', { minVersion: '2.5.0' });
    const replaced = await client.replaceDraft(early.rollout_id, early.updated_at, plan);
    expect(replaced).toMatchObject({ stepping_stones: ['2.5.0'] });
    expect(await client.previewOf(replaced)).toMatchObject({ via_stepping_stone: 3, will_be_updated: 3 });
  });

  test('is checked like a new one, and is not replaced if it was changed, runs, or would start', async () => {
    await client.createRollout({ ...PLAN, name: 'taken' });
    const { rollout_id: id, updated_at: read } = await client.createRollout(PLAN);
    const refused = async (draft: object, etag = read) => refusal(client.replaceDraft(id, etag, { ...PLAN, ...draft }));
    expect(await refused({ name: 'taken' })).toMatchObject({ status: 409, detail: expect.stringContaining('taken') });
    expect(await refused({ end_at: '2027-02-01T00:00:00.000Z' })).toMatchObject({ status: 400 });
    expect(await refused({ after_rollout_id: id })).toMatchObject({ status: 400 });
    expect(await refused({ is_active: true })).toMatchObject({
      status: 400,
      errors: [expect.objectContaining({ field: 'is_active' })],
    });
    expect(await refused({}, '2026-01-01T00:00:00.000Z')).toMatchObject({ status: 412 });
    await client.changeRollout(id, read, { is_active: true });
    const { updated_at: running } = await client.rollout(id);
    expect(await refused({}, running)).toMatchObject({
      status: 409,
      detail: expect.stringContaining('only a draft can be replaced'),
    });
  });
});

describe('creating rollouts', () => {
  test('a repeated call returns the existing rollout; other values under its name are rejected', async () => {
    const made = await client.createRollout(DRAFT);
    expect(made).toMatchObject({ state: 'active', created_by: CALLER, max_attempts: 3, failure_threshold: 0.1 });
    expect(await client.createRollout(DRAFT)).toMatchObject({ rollout_id: made.rollout_id });
    expect(await refusal(client.createRollout({ ...DRAFT, rollout_percentage: 10 }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('rollout_percentage'),
    });
  });

  test('applies the same defaults as a plain INSERT', async () => {
    const { stages, ...plain } = DRAFT;
    expect(stages).toEqual([]);
    await client.createRollout({ ...plain, name: 'api' });
    const row = await addRollout(db.app, 'row', '2.0.0');
    await service.tick();
    const [byApi, byRow] = [await client.rollout('api'), await client.rollout(row)];
    const omit = ({ rollout_id, name, created_at, updated_at, created_by, ...rest }: typeof byApi) => rest;
    expect(omit(byRow)).toEqual(omit(byApi));
  });

  test('decides the stepping stones: those that the draft names, otherwise those that the preview shows', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await addRelease(db.app, '2.5.0');
    await addDevices(db.app, 3);
    const draft = { ...DRAFT, firmware_version: '3.0.0' };
    expect(await client.previewRollout(draft)).toMatchObject({
      via_stepping_stone: 3,
      stepping_stones: [{ version: '2.5.0', devices: 3 }],
    });
    const named = await client.createRollout({ ...draft, stepping_stones: ['2.0.0'] });
    const proposed = await client.createRollout({ ...draft, name: 'proposed' });
    await addRelease(db.app, '2.9.9');
    expect(await client.rollout(named.rollout_id)).toMatchObject({ stepping_stones: ['2.0.0'] });
    expect(await client.rollout(proposed.rollout_id)).toMatchObject({ stepping_stones: ['2.5.0'] });
    expect(await client.createRollout({ ...draft, name: 'proposed' })).toMatchObject({
      rollout_id: proposed.rollout_id,
    });
  });

  test('refuses a stepping stone that is not registered, a pre-release, newer than the target or not signed', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await addRelease(db.app, '2.5.0-rc.1');
    await addRelease(db.app, '3.1.0');
    const draft = { ...DRAFT, firmware_version: '3.0.0' };
    const why = async (version: string, api = client) =>
      (await refusal(api.createRollout({ ...draft, stepping_stones: [version] }))).errors?.[0]?.message;
    expect(await why('2.2.0')).toBe('2.2.0 is not registered for esp32-s3; upload it before the rollout is created');
    expect(await why('2.5.0-rc.1')).toContain('or is a pre-release');
    expect(await why('3.1.0')).toContain('is not an older version than 3.0.0');
    const key = 'ab'.repeat(32);
    const signing = signingSchema.parse({ requireSignedFirmware: true, trustedKeyDigests: [key] });
    const strict = new TestApi(db.roles.control, () => service.now, { signing }).client;
    expect(await why('2.0.0', strict)).toBe('release 3.0.0 is not trusted: no trusted key signed it');
    await db.app.query("UPDATE firmware_releases SET signing_key = :key WHERE version = '3.0.0'", { key });
    expect(await why('2.0.0', strict)).toBe('2.0.0 is not trusted: no trusted key signed it');
  });

  test.each([
    [{ target_filter: { device_idz: ['d0'] } }, 'target_filter.device_idz'],
    [{ target_type: 'group' as const }, 'target_filter'],
    [{ target_filter: { models: ['esp32-c3'] } }, 'target_filter.models'],
    [{ rollout_percentage: 0 }, 'rollout_percentage'],
    [{ stages: [{ percentage: 10, count: 3 }] }, 'stages.0'],
    [{ send_window: { from: '25:00', to: '06:00' } }, 'send_window.from'],
    [{ name: '42' }, 'name'],
    [{ firmware_version: '9.9.9' }, 'firmware_version'],
    [{ percentage: 5 }, 'percentage'],
  ])('rejects %j and names the field', async (wrong, field) => {
    const problem = await refusal(client.createRollout({ ...DRAFT, ...(wrong as object) }));
    expect(problem).toMatchObject({ status: 400, errors: [{ field }] });
  });

  test('rejects a misspelled list filter instead of ignoring it', async () => {
    expect(await refusal(client.devices({ modell: 'esp32-s3' } as { model?: string }))).toMatchObject({
      status: 400,
      errors: [{ field: 'modell', message: 'there is no such field' }],
    });
  });

  test('rejects a release for another chip than that of the model', async () => {
    const models = {
      'esp32-s3': {
        chip: 'ESP32-C3',
        packetLimitBytes: 256,
        delivery: 'redirect' as const,
        allowWithoutDescriptor: false,
      },
    };
    const other = new TestApi(db.roles.control, () => service.now, { models });
    expect(await refusal(other.client.createRollout(DRAFT))).toMatchObject({
      errors: [{ field: 'firmware_version', message: 'release 2.0.0 is for ESP32-S3, model esp32-s3 has ESP32-C3' }],
    });
  });

  test('a preview counts devices by reason and checks the packet that would be sent', async () => {
    await addDevices(db.app, 4);
    await addDevices(db.app, 2, { prefix: 'new', version: '3.0.0' });
    await addDevices(db.app, 1, { prefix: 'x'.repeat(60) });
    const { name: _, ...nameless } = DRAFT;
    const preview = await client.previewRollout(nameless);
    expect(preview).toMatchObject({ matching: 7, will_be_updated: 4 });
    expect(preview.will_not).toEqual([
      { reason: 'newer than 2.0.0', devices: 2 },
      { reason: expect.stringMatching(/needs a packet of \d+ bytes, this model accepts 256/), devices: 1 },
    ]);
  });

  test('a draft runs once it is started', async () => {
    await addDevices(db.app, 1);
    const draft = await client.createRollout({ ...DRAFT, is_active: false });
    expect(draft.state).toBe('draft');
    expect(await service.tick()).toEqual([]);
    expect(await client.changeRollout('r', draft.updated_at, { is_active: true })).toMatchObject({ state: 'active' });
    expect(await service.tick()).toEqual(['d0']);
  });

  test('a draft whose release was revoked meanwhile is not started', async () => {
    const draft = await client.createRollout({ ...DRAFT, is_active: false });
    await client.revokeRelease('esp32-s3', '2.0.0', 'leaks');
    expect(await refusal(client.changeRollout('r', draft.updated_at, { is_active: true }))).toMatchObject({
      status: 409,
      detail:
        'Rollout "r" cannot start: release 2.0.0 was revoked: leaks. Start it when that has changed, or abort it and create a rollout of another release.',
    });
    expect(await client.rollout('r')).toMatchObject({ state: 'draft' });
  });

  test('each answer with a rollout has the ETag for its next change', async () => {
    const { app } = new TestApi(db.roles.control, () => service.now);
    const event = { requestContext: { authorizer: { iam: { userArn: CALLER } } } };
    const headers = { 'content-type': 'application/json' };
    const post = (path: string, body: object) =>
      app.request(path, { method: 'POST', body: JSON.stringify(body), headers }, { event });
    for (const answer of [
      await post('/v1/rollouts', DRAFT),
      await post('/v1/rollouts', DRAFT),
      await post('/v1/rollouts/1/pause', { reason: 'lunch' }),
    ]) {
      const { updated_at: updated } = (await answer.json()) as { updated_at: string };
      expect(answer.headers.get('etag')).toBe(`"${updated}"`);
    }
  });
});

describe('a running rollout', () => {
  test('has a history in the order of its times, which says who started it', async () => {
    await addDevices(db.app, 1);
    const ann = 'arn:aws:iam::000000000000:user/ann';
    const api = new TestApi(db.roles.control, () => new Date(service.now.getTime() + 1_873));
    const draft = await api.client.createRollout({ ...DRAFT, is_active: false });
    await api.as(ann).changeRollout('r', draft.updated_at, { is_active: true });
    await service.tick();
    const { items } = await client.decisions('r');
    expect(items.map(({ event, decided_by: by }) => [event, by])).toEqual([
      ['rollout_created', CALLER],
      ['rollout_changed', ann],
      ['rollout_started', ann],
    ]);
    const times = items.map(({ at }) => at);
    expect(times).toEqual(times.toSorted());
  });

  test('rejects a change by a caller who has read an older state', async () => {
    const rollout = await client.createRollout(DRAFT);
    const changed = await client.changeRollout('r', rollout.updated_at, { max_in_flight: 3, send_window: null });
    expect(changed).toMatchObject({ max_in_flight: 3, failure_threshold: 0.1 });
    expect(await refusal(client.changeRollout('r', rollout.updated_at, { max_in_flight: 5 }))).toMatchObject({
      status: 412,
    });
    expect(await client.rollout('r')).toMatchObject({ max_in_flight: 3 });
    const { items } = await client.decisions('r');
    expect(items.at(-1)).toMatchObject({
      event: 'rollout_changed',
      decided_by: CALLER,
      detail: { changes: { max_in_flight: 3, send_window: null } },
    });
  });

  test('pauses, resumes and aborts, each once and with a reason', async () => {
    await addDevices(db.app, 2);
    await client.createRollout(DRAFT);
    await service.tick();
    expect(await client.act('r', 'pause', 'lunch')).toMatchObject({
      state: 'paused',
      paused_reason: 'lunch',
      paused_by: CALLER,
    });
    expect(await refusal(client.act('r', 'pause', 'lunch'))).toMatchObject({
      status: 409,
      detail: 'Rollout "r" cannot pause: it is paused.',
    });
    await service.tick();
    expect(await client.rollout('r')).toMatchObject({ canceled: 2 });
    service.later(1);
    expect(await client.act('r', 'resume', 'back')).toMatchObject({ state: 'active' });
    expect(await service.tick()).toHaveLength(2);
    expect(await client.act('r', 'abort', 'enough')).toMatchObject({ state: 'aborted' });
    expect(await refusal(client.act('r', 'resume', 'no'))).toMatchObject({ status: 409 });
  });

  test('advances stage by stage to the last on request', async () => {
    await addDevices(db.app, 4);
    await client.createRollout({ ...DRAFT, stages: [{ count: 1, soak_minutes: 600 }] });
    expect(await service.tick()).toHaveLength(1);
    expect(await client.act('r', 'advance', 'in a hurry')).toMatchObject({ stage: 1 });
    expect(await service.tick()).toHaveLength(3);
    expect(await refusal(client.act('r', 'advance', 'more'))).toMatchObject({
      detail: 'Rollout "r" cannot advance: it is in its last stage.',
    });
  });

  test('advances a slow start with a wave twice as large, in which the devices under way count', async () => {
    await addDevices(db.app, 10);
    await client.createRollout({ ...DRAFT, stages: null });
    expect(await service.tick()).toHaveLength(1);
    await client.act('r', 'advance', 'go on');
    expect(await service.tick()).toHaveLength(1);
  });

  test('retries failed devices', async () => {
    await addDevices(db.app, 1);
    await client.createRollout({ ...DRAFT, failure_threshold: 1 });
    expect(await refusal(client.act('r', 'retry', 'why not'))).toMatchObject({ status: 409 });
    await service.tick();
    await service.fetch('d0');
    await service.fail('d0');
    await service.tick();
    expect(await client.act('r', 'retry', 'fixed')).toMatchObject({ state: 'active' });
    expect(await service.tick()).toEqual(['d0']);
  });

  test('returns its progress by stage, state and reason, and its outcomes over time', async () => {
    await addDevices(db.app, 3);
    await client.createRollout({ ...DRAFT, failure_threshold: 1 });
    await service.tick();
    await service.fetch('d1');
    await service.fail('d1');
    await service.succeed('d0');
    await service.tick();
    const progress = await client.progress('r');
    expect(progress.stages).toMatchObject([{ stage: 0, size: 3, states: { success: 1, failed: 1, sent: 1 } }]);
    expect(progress.failures).toEqual([
      { status: 'failed', cause: 'build', reason: 'invalid firmware (9): code 9', devices: 1 },
    ]);
    expect(progress.outcomes.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0)).toBe(2);
    expect((await client.updates('r', { status: 'failed' })).items).toMatchObject([
      { device_id: 'd1', result_code: 9 },
    ]);
    expect((await client.updates('r', { open: true })).items).toMatchObject([{ device_id: 'd2' }]);
  });

  test('counts installed updates on probation as in progress, in stages and in totals', async () => {
    await addDevices(db.app, 1);
    await client.createRollout(DRAFT);
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 0);
    expect(await client.rollout('r')).toMatchObject({ succeeded: 0, in_progress: 1 });
    expect((await client.progress('r')).stages).toMatchObject([{ states: { installing: 1 } }]);
  });

  test('states what it is waiting for', async () => {
    await addDevices(db.app, 4);
    await client.createRollout({ ...DRAFT, stages: [{ count: 2 }] });
    expect(await client.rollout('r')).toMatchObject({ waiting_for: 'about to start' });
    await service.tick();
    expect(await client.rollout('r')).toMatchObject({ waiting_for: 'waiting for 2 more outcomes' });
  });
});
