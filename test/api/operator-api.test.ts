import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ApiError } from '../../api/client.ts';
import type { RolloutDraft } from '../../api/rollouts.ts';
import { sampleFleetVersions } from '../../core/housekeeping.ts';
import { migrations } from '../../schema/index.ts';
import { CALLER, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app);
  api = new TestApi(db.app, () => service.now);
  client = api.client;
});

const DRAFT: RolloutDraft = { name: 'r', firmware_version: '2.0.0', device_model: 'esp32-s3', stages: [] };

/** The problem that a refused call is answered with. */
async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (refused: unknown) => refused,
  );
  if (error instanceof ApiError) return error.problem;
  throw new Error(`expected a refusal, got ${error}`);
}

/** So many minutes from now. */
const iso = (minutes: number) => new Date(service.now.getTime() + minutes * 60_000).toISOString();

describe('devices', () => {
  test('come page by page in the order of their ids, each once', async () => {
    await addDevices(db.app, 25);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.devices({ limit: 10, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ device_id: id }) => id));
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toHaveLength(25);
    expect(new Set(seen).size).toBe(25);
  });

  test.each([
    ['the beginning of an id', 'esp32-20'],
    ['what follows the hyphen', '20e9'],
    ['a MAC address, however written', 'a0-b7-65'],
  ])('are found by %s', async (_, search) => {
    await addDevices(db.app, 3);
    await db.app.query(`INSERT INTO devices (device_id, mac_address) VALUES ('ESP32-20E955A0', 'A0:B7:65:20:E9:55')`);
    expect((await client.devices({ search })).items.map(({ device_id: id }) => id)).toEqual(['ESP32-20E955A0']);
  });

  test('a search is text, never a pattern', async () => {
    await addDevices(db.app, 3);
    expect((await client.devices({ search: '%' })).items).toEqual([]);
    expect((await client.devices({ search: `' OR 1=1 --` })).items).toEqual([]);
  });

  test('are filtered by model, version, group and whether they are being updated', async () => {
    await addDevices(db.app, 2);
    await addDevices(db.app, 2, { prefix: 'c', model: 'esp32-c3', version: '1.1.0' });
    await client.changeGroup('beta', { add: ['d1', 'c0'] });
    await client.createRollout({ ...DRAFT, target_type: 'specific', target_filter: { device_ids: ['d0'] } });
    await service.tick();
    const ids = async (query: object) => (await client.devices({ ...query })).items.map(({ device_id: id }) => id);
    expect(await ids({ model: 'esp32-c3' })).toEqual(['c0', 'c1']);
    expect(await ids({ version: '1.1.0', group: 'beta' })).toEqual(['c0']);
    expect(await ids({ updating: true })).toEqual(['d0']);
    expect(await ids({ updating: false })).toEqual(['c0', 'c1', 'd1']);
  });

  test('have groups and attributes that operators set', async () => {
    await addDevices(db.app, 1);
    await client.setGroups('d0', ['vans', 'beta']);
    await client.setAttributes('d0', { site: 'x', floor: 2 });
    expect(await client.setAttributes('d0', { floor: null })).toMatchObject({
      groups: ['beta', 'vans'],
      metadata: { site: 'x' },
    });
    expect(await client.setGroups('d0', [])).toMatchObject({ groups: [] });
  });

  test('have in their story who moved them between groups and set their attributes', async () => {
    await addDevices(db.app, 2);
    await client.changeGroup('vans', { add: ['d0', 'd1'] });
    service.later(1);
    await client.setGroups('d0', ['beta']);
    service.later(1);
    await client.setAttributes('d0', { site: 'x' });
    await client.changeGroup('beta', { add: ['d0'] });
    const { items } = await client.deviceTimeline('d0');
    const told = items.map(({ event, detail: { by, ...rest } }) => [event, rest, by]);
    expect(told).toEqual([
      ['attributes_set', { attributes: { site: 'x' } }, CALLER],
      ['joined_group', { group: 'beta' }, CALLER],
      ['left_group', { group: 'vans' }, CALLER],
      ['joined_group', { group: 'vans' }, CALLER],
    ]);
  });

  test('of a group must be registered', async () => {
    expect(await refusal(client.changeGroup('beta', { add: ['nobody'] }))).toMatchObject({
      status: 400,
      errors: [{ field: 'add', message: 'not registered: nobody' }],
    });
  });

  test('tell their story, and why they are where they are', async () => {
    await addDevices(db.app, 1);
    await client.createRollout(DRAFT);
    await service.tick();
    await service.succeed('d0');
    const { items } = await client.deviceTimeline('d0');
    expect(items.map(({ event }) => event)).toContain('claimed');
    expect(await client.explain('d0')).toMatchObject({ rollout_name: 'r', rule: 'runs 2.0.0' });
    expect(await client.explain('d0', { rollout: 'r' })).toMatchObject({ rollout_name: 'r' });
    expect(await refusal(client.explain('d0', { version: '9.9.9' }))).toMatchObject({ status: 404 });
  });

  test('tell how far a success has proved itself: written, running, final', async () => {
    await addDevices(db.app, 1);
    await client.createRollout(DRAFT);
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 0);
    const written = { status: 'success', is_open: true, confirmed_at: null, deadline_at: iso(15) };
    expect((await client.devices()).items).toMatchObject([{ update: written }]);
    service.later(1);
    const confirmedAt = iso(0);
    await service.status('d0', '2.0.0');
    const running = { ...written, confirmed_at: confirmedAt, deadline_at: iso(5) };
    expect(await client.device('d0')).toMatchObject({ update: running });
    service.later(6);
    await service.tick();
    const closed = { ...running, is_open: false, deadline_at: null };
    expect((await client.devices()).items).toMatchObject([{ update: closed }]);
  });

  test('one device is sent one release at an operator’s word, before any other rollout', async () => {
    await addDevices(db.app, 2);
    await client.createRollout({ ...DRAFT, name: 'all', is_active: true });
    await service.tick();
    await addRelease(db.app, '1.5.0');
    const rollout = await client.updateDevice('d1', { firmware_version: '1.5.0' }).catch((error) => error);
    expect(rollout).toMatchObject({ problem: { status: 409, detail: expect.stringContaining('is being updated by') } });
    await service.succeed('d0', 'd1');
    await service.tick();
    expect(await client.updateDevice('d1', { firmware_version: '1.5.0', allow_downgrade: true })).toMatchObject({
      target_filter: { device_ids: ['d1'] },
      created_by: CALLER,
    });
    expect(await service.tick()).toEqual(['d1']);
  });

  test('are revoked and reinstated with a reason, and say by whom', async () => {
    await addDevices(db.app, 2);
    await client.createRollout({ ...DRAFT, is_active: true });
    await service.tick();
    api.certificates.set('d0', ['its-certificate']);
    expect(await client.revokeDevice('d0', 'stolen')).toMatchObject({
      certificates: ['its-certificate'],
      device: {
        revoked_at: service.now.toISOString(),
        revoked_reason: 'stolen',
        revoked_by: CALLER,
        update: { status: 'canceled', is_open: false },
      },
    });
    expect(api.cutOff).toEqual(['d0']);
    expect(await client.revokeDevice('d0', 'stolen twice')).toMatchObject({ device: { revoked_reason: 'stolen' } });
    expect(await refusal(client.updateDevice('d0', { firmware_version: '2.0.0' }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('identity of d0 was revoked'),
    });
    service.later(1);
    expect(await client.reinstateDevice('d0', 'found')).toMatchObject({ revoked_at: null, revoked_by: null });
    expect(await refusal(client.reinstateDevice('d0', 'found'))).toMatchObject({ status: 409 });
    expect(await refusal(client.revokeDevice('d0', ' '))).toMatchObject({ status: 400 });
    expect(await refusal(client.revokeDevice('nobody', 'stolen'))).toMatchObject({ status: 404 });
    const { items } = await client.deviceTimeline('d0');
    expect(items.filter(({ event }) => event.startsWith('device_'))).toMatchObject([
      { event: 'device_reinstated', detail: { by: CALLER, reason: 'found' } },
      { event: 'device_revoked', detail: { by: CALLER, reason: 'stolen' } },
    ]);
  });

  test('are revoked before they ever report, and may ask for a certificate no more', async () => {
    await client.changeAllowedDevices({ add: ['lost'] });
    api.certificates.set('lost', ['its-certificate']);
    expect(await client.revokeDevice('lost', 'lost on its way')).toEqual({
      certificates: ['its-certificate'],
      device: null,
    });
    expect((await client.allowedDevices()).items).toEqual([]);
    expect(await refusal(client.revokeDevice('lamp-of-another-system', 'x'))).toMatchObject({ status: 404 });
    expect(api.cutOff).toEqual(['lost']);
  });

  test('keep no more attributes than a page of devices can show', async () => {
    await addDevices(db.app, 2);
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`note${n}`, 'x'.repeat(256)]));
    expect(await refusal(client.setAttributes('d0', many))).toMatchObject({
      status: 400,
      errors: [{ field: 'metadata' }],
    });
    expect(await client.device('d0')).toMatchObject({ metadata: {} });
    // What was too large before may be made smaller.
    await db.app.query('UPDATE devices SET metadata = :many::jsonb WHERE device_id = :id', { many, id: 'd0' });
    expect((await client.setAttributes('d0', { note0: null })).metadata).not.toHaveProperty('note0');
    await db.app.query(`UPDATE devices SET metadata = '{}'`);
    expect(await client.setAttributes('d0', { site: 'rome' })).toMatchObject({ metadata: { site: 'rome' } });
    expect(await refusal(client.setAttributes('nobody', { site: 'rome' }))).toMatchObject({ status: 404 });
  });

  test('of long names are sent a release too', async () => {
    const [id, version] = ['d'.repeat(64), `2.0.0-${'x'.repeat(50)}`];
    await db.app.query(
      `INSERT INTO devices (device_id, device_model, current_firmware_version) VALUES (:id, 'esp32-s3', '1.0.0')`,
      { id },
    );
    await addRelease(db.app, version);
    const models = {
      'esp32-s3': { packetLimitBytes: 1024, delivery: 'redirect' as const, allowWithoutDescriptor: false },
    };
    const { client: roomy } = new TestApi(db.app, () => service.now, { models });
    const { name } = await roomy.updateDevice(id, { firmware_version: version });
    expect(name).toBe(`${id} to ${version}`);
    expect(await roomy.rollout(name)).toMatchObject({ name });
  });

  test('may ask for a certificate once they are on the list, which says who put them there', async () => {
    expect(await client.changeAllowedDevices({ add: ['ESP32-1', 'ESP32-2', 'ESP32-1'] })).toEqual({
      added: 2,
      removed: 0,
    });
    expect(await client.changeAllowedDevices({ remove: ['ESP32-2', 'ESP32-9'] })).toEqual({ added: 0, removed: 1 });
    expect(await client.allowedDevices()).toEqual({
      items: [
        {
          device_id: 'ESP32-1',
          allowed_at: service.now.toISOString(),
          allowed_by: CALLER,
          provisioned_at: null,
        },
      ],
      next_cursor: null,
    });
    expect(await refusal(client.changeAllowedDevices({ add: ['a/b'] }))).toMatchObject({
      status: 400,
      errors: [{ field: 'add.0' }],
    });
  });

  test('that do not exist are not found', async () => {
    for (const call of [
      () => client.device('x'),
      () => client.deviceTimeline('x'),
      () => client.explain('x'),
      () => client.setGroups('x', []),
    ]) {
      expect(await refusal(call())).toMatchObject({ status: 404, detail: 'There is no device x.' });
    }
  });
});

describe('releases', () => {
  test('are listed with how many devices run them, and shown with their image', async () => {
    await addDevices(db.app, 2, { version: '2.0.0' });
    expect((await client.releases()).items).toMatchObject([{ version: '2.0.0', devices: 2, revoked_at: null }]);
    expect(await client.release('esp32-s3', '2.0.0')).toMatchObject({ chip: 'ESP32-S3', image: {} });
    expect(await refusal(client.release('esp32-s3', '9'))).toMatchObject({ status: 404 });
  });

  test('an upload begins with a URL, and its outcome is told', async () => {
    const started = await client.startUpload({ device_model: 'esp32-s3', version: '3.0.0', min_version: '1.0.0' });
    expect(started).toEqual({
      upload_url: 'https://bucket.example/firmware/3.0.0/esp32-s3.bin?signed',
      headers: { 'min-version': '1.0.0' },
      object_key: 'firmware/3.0.0/esp32-s3.bin',
    });
    expect(await client.startUpload({ device_model: 'esp32-s3', version: '3.0.0', file: 'signature' })).toMatchObject({
      object_key: 'firmware/3.0.0/esp32-s3.bin.sig',
    });
    const since = '2026-03-01T00:00:00.000Z';
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since })).toMatchObject({ state: 'waiting' });
    await db.app.query(
      `INSERT INTO rejected_uploads (object_key, object_version, file_size, verdict, message, uploaded_at)
       VALUES ('firmware/3.0.0/esp32-s3.bin', 'v1', 5, 'TRUNCATED', 'cut off', '2026-03-02T00:00:00Z')`,
    );
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since })).toMatchObject({
      state: 'rejected',
      rejection: { verdict: 'TRUNCATED' },
    });
    expect((await client.rejectedUploads()).items).toHaveLength(1);
    await addRelease(db.app, '3.0.0');
    const sha256 = 'a'.repeat(64);
    expect(
      await client.uploadOutcome('esp32-s3', '3.0.0', { since: '2026-03-03T00:00:00.000Z', sha256 }),
    ).toMatchObject({ state: 'registered', release: { version: '3.0.0' } });
    // The next try came within the same second as the rejected one.
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since, sha256 })).toMatchObject({ state: 'registered' });
    expect(await client.uploadOutcome('esp32-s3', '3.0.0', { since, sha256: 'b'.repeat(64) })).toMatchObject({
      state: 'rejected',
    });
  });

  test('an upload under an impossible name is refused at once', async () => {
    expect(await refusal(client.startUpload({ device_model: '../x', version: '3.0.0' }))).toMatchObject({
      status: 400,
    });
    expect(
      await refusal(client.startUpload({ device_model: 'esp32-s3', version: '3.0.0', changelog: 'a\nb' })),
    ).toMatchObject({ errors: [{ field: 'changelog' }] });
  });

  test('an upload is verified once more on demand', async () => {
    await client.rescanUpload('firmware/3.0.0/esp32-s3.bin');
    expect(api.rescanned).toEqual(['firmware/3.0.0/esp32-s3.bin']);
    expect(await refusal(client.rescanUpload('firmware/3.0.0/missing.bin'))).toMatchObject({ status: 404 });
    expect(await refusal(client.rescanUpload('other'))).toMatchObject({ status: 400 });
  });

  test('count the devices that report them with a v before', async () => {
    await addDevices(db.app, 1, { version: '2.0.0' });
    await addDevices(db.app, 2, { version: 'v2.0.0', prefix: 'v' });
    expect(await client.release('esp32-s3', '2.0.0')).toMatchObject({ devices: 3 });
  });

  test('one that is revoked goes to nobody more: its rollouts halt, its links end', async () => {
    await addDevices(db.app, 3);
    service.absent.add('d2');
    await client.createRollout(DRAFT);
    await service.tick();
    await client.revokeRelease('esp32-s3', '2.0.0', 'bricks');
    expect(await service.fetch('d0')).toBe('over');
    service.absent.clear();
    await service.status('d2', '1.0.0');
    expect(service.sent.map(({ deviceId }) => deviceId)).not.toContain('d2');
    await service.tick();
    expect(await client.rollout('r')).toMatchObject({
      state: 'halted',
      paused_reason: 'release 2.0.0 was revoked: bricks',
    });
    expect(await refusal(client.createRollout({ ...DRAFT, name: 'again' }))).toMatchObject({
      errors: [{ field: 'firmware_version', message: 'release 2.0.0 was revoked: bricks' }],
    });
  });
});

describe('making rollouts', () => {
  test('a repeated call finds the one that was made; other values under its name are refused', async () => {
    const made = await client.createRollout(DRAFT);
    expect(made).toMatchObject({ state: 'active', created_by: CALLER, max_attempts: 3, failure_threshold: 0.1 });
    expect(await client.createRollout(DRAFT)).toMatchObject({ rollout_id: made.rollout_id });
    expect(await refusal(client.createRollout({ ...DRAFT, rollout_percentage: 10 }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining('rollout_percentage'),
    });
  });

  test('what was made is what the table’s own defaults make, so that a plain INSERT and the API agree', async () => {
    const { stages, ...plain } = DRAFT;
    expect(stages).toEqual([]);
    const byApi = await client.createRollout({ ...plain, name: 'api' });
    const byRow = await client.rollout(await addRollout(db.app, 'row', '2.0.0'));
    const omit = ({ rollout_id, name, created_at, updated_at, created_by, ...rest }: typeof byApi) => rest;
    expect(omit(byRow)).toEqual(omit(byApi));
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
  ])('%j is refused, and the field is named', async (wrong, field) => {
    const problem = await refusal(client.createRollout({ ...DRAFT, ...(wrong as object) }));
    expect(problem).toMatchObject({ status: 400, errors: [{ field }] });
  });

  test('a misspelt filter of a list is refused, rather than mean all of it', async () => {
    expect(await refusal(client.devices({ modell: 'esp32-s3' } as { model?: string }))).toMatchObject({
      status: 400,
      errors: [{ field: 'modell', message: 'there is no such field' }],
    });
  });

  test('a release for another chip than the model has is refused', async () => {
    const models = {
      'esp32-s3': {
        chip: 'ESP32-C3',
        packetLimitBytes: 256,
        delivery: 'redirect' as const,
        allowWithoutDescriptor: false,
      },
    };
    const other = new TestApi(db.app, () => service.now, { models });
    expect(await refusal(other.client.createRollout(DRAFT))).toMatchObject({
      errors: [{ field: 'firmware_version', message: 'release 2.0.0 is for ESP32-S3, model esp32-s3 has ESP32-C3' }],
    });
  });

  test('a preview says who and why not, by the packet that would be sent', async () => {
    await addDevices(db.app, 4);
    await addDevices(db.app, 2, { prefix: 'new', version: '3.0.0' });
    await addDevices(db.app, 1, { prefix: 'x'.repeat(60) });
    const { name: _, ...nameless } = DRAFT;
    const preview = await client.previewRollout(nameless);
    expect(preview).toMatchObject({ members: 7, will_be_updated: 4 });
    expect(preview.will_not).toEqual([
      { reason: 'newer than 2.0.0', devices: 2 },
      { reason: expect.stringMatching(/needs a packet of \d+ bytes, this model takes 256/), devices: 1 },
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
});

describe('a rollout that runs', () => {
  test('is changed only by who has read how it is', async () => {
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

  test('pauses, resumes, aborts; each with its reason, and not twice', async () => {
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

  test('advances at an operator’s word, stage by stage, to the last', async () => {
    await addDevices(db.app, 4);
    await client.createRollout({ ...DRAFT, stages: [{ count: 1, soak_minutes: 600 }] });
    expect(await service.tick()).toHaveLength(1);
    expect(await client.act('r', 'advance', 'in a hurry')).toMatchObject({ stage: 1 });
    expect(await service.tick()).toHaveLength(3);
    expect(await refusal(client.act('r', 'advance', 'more'))).toMatchObject({
      detail: 'Rollout "r" cannot advance: it is in its last stage.',
    });
  });

  test('a slow start advances by a window twice as large', async () => {
    await addDevices(db.app, 10);
    await client.createRollout({ ...DRAFT, stages: null });
    expect(await service.tick()).toHaveLength(1);
    await client.act('r', 'advance', 'go on');
    expect(await service.tick()).toHaveLength(2);
  });

  test('tries failed devices again', async () => {
    await addDevices(db.app, 1);
    await client.createRollout({ ...DRAFT, failure_threshold: 1 });
    expect(await refusal(client.act('r', 'retry', 'why not'))).toMatchObject({ status: 409 });
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 4);
    await service.tick();
    expect(await client.act('r', 'retry', 'fixed')).toMatchObject({ state: 'active' });
    expect(await service.tick()).toEqual(['d0']);
  });

  test('shows its progress by stage, state and reason, and its outcomes over time', async () => {
    await addDevices(db.app, 3);
    await client.createRollout({ ...DRAFT, failure_threshold: 1 });
    await service.tick();
    await service.fetch('d1');
    await service.result('d1', 4);
    await service.succeed('d0');
    await service.tick();
    const progress = await client.progress('r');
    expect(progress.stages).toMatchObject([{ stage: 0, size: 3, states: { success: 1, failed: 1, sent: 1 } }]);
    expect(progress.failures).toEqual([{ status: 'failed', reason: 'code 4', devices: 1 }]);
    expect(progress.outcomes.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0)).toBe(2);
    expect((await client.updates('r', { status: 'failed' })).items).toMatchObject([
      { device_id: 'd1', result_code: 4 },
    ]);
    expect((await client.updates('r', { open: true })).items).toMatchObject([{ device_id: 'd2' }]);
  });

  test('counts what is written and must show that it boots as under way, stages and totals alike', async () => {
    await addDevices(db.app, 1);
    await client.createRollout(DRAFT);
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 0);
    expect(await client.rollout('r')).toMatchObject({ succeeded: 0, in_progress: 1 });
    expect((await client.progress('r')).stages).toMatchObject([{ states: { installing: 1 } }]);
  });

  test('says what it waits for', async () => {
    await addDevices(db.app, 4);
    await client.createRollout({ ...DRAFT, stages: [{ count: 2 }] });
    expect(await client.rollout('r')).toMatchObject({ waiting_for: 'about to begin' });
    await service.tick();
    expect(await client.rollout('r')).toMatchObject({ waiting_for: 'waiting for 2 more outcomes' });
  });
});

describe('the service', () => {
  test('shows the fleet at a glance, and what needs attention', async () => {
    await addDevices(db.app, 2);
    await db.app.query('UPDATE devices SET last_seen = :now::timestamptz', { now: service.now });
    await client.createRollout(DRAFT);
    await client.act('r', 'pause', 'lunch');
    api.deadLetters = [{ queue: 'status', messages: 3 }];
    expect(await client.fleet()).toMatchObject({
      devices: 2,
      resting_since: null,
      seen: { last_hour: 2, last_day: 2, last_week: 2, is_estimate: false },
      versions: [{ device_model: 'esp32-s3', firmware_version: '1.0.0', devices: 2 }],
      rollouts: [{ name: 'r', state: 'paused' }],
      attention: [
        { kind: 'rollout_paused', message: 'Rollout "r" is paused: lunch' },
        { kind: 'dead_letters', message: '3 messages were not handled and wait in the status queue' },
      ],
    });
  });

  test('shows the fleet over time', async () => {
    await addDevices(db.app, 2);
    await sampleFleetVersions(db.app, service.now);
    service.later(30);
    await sampleFleetVersions(db.app, service.now);
    const { items } = await client.fleetHistory(24);
    expect(items.map(({ devices }) => devices)).toEqual([2, 2]);
    service.later(48 * 60);
    expect((await client.fleetHistory(24)).items).toEqual([]);
  });

  test('counts each device once at each moment of the history, also while it changes its version', async () => {
    await addDevices(db.app, 2);
    await sampleFleetVersions(db.app, service.now);
    service.later(1);
    await db.app.query(`UPDATE devices SET current_firmware_version = '1.1.0'`);
    await sampleFleetVersions(db.app, service.now);
    service.later(1);
    const { items } = await client.fleetHistory(24 * 7);
    expect(items.map(({ firmware_version: version, devices }) => [version, devices])).toEqual([['1.1.0', 2]]);
  });

  test('decisions can be followed', async () => {
    await client.createRollout(DRAFT);
    const [created] = (await client.events()).items;
    expect(created).toMatchObject({ event: 'rollout_created', decided_by: CALLER });
    await client.act('r', 'pause', 'lunch');
    const { items } = await client.events({ after: created?.event_id ?? 0 });
    expect(items.map(({ event }) => event)).toEqual(['rollout_paused']);
  });

  test('a tick lets the orchestrator look at once', async () => {
    await addDevices(db.app, 2);
    await client.createRollout(DRAFT);
    expect(await client.tick()).toMatchObject({ ran: true, rollouts: [{ rollout: 'r', claimed: 2, owed: 2 }] });
    expect(api.dispatched).toHaveLength(2);
  });

  test('the fleet has all its devices in one number, however many versions they run', async () => {
    await db.app.query(
      `INSERT INTO devices (device_id, device_model, current_firmware_version)
       SELECT 'd' || n, 'esp32-s3', '1.0.' || n FROM generate_series(1, 501) AS n`,
    );
    expect((await client.fleet()).devices).toBe(501);
  });

  test('of two ticks at once of one operator one runs', async () => {
    await addDevices(db.app, 2);
    await client.createRollout(DRAFT);
    const ticks = await Promise.all([client.tick(), client.tick()]);
    expect(ticks.map(({ ran }) => ran).sort()).toEqual([false, true]);
  });

  test('dead letters are given back, those of a queue that exists', async () => {
    api.deadLetters = [{ queue: 'ota', messages: 2 }];
    expect(await client.redriveDeadLetters('ota')).toEqual({ queue: 'ota', messages: 2 });
    expect(await refusal(client.redriveDeadLetters('nope'))).toMatchObject({ status: 404 });
  });

  test('says what is deployed, and who asks', async () => {
    expect(await client.info()).toMatchObject({
      schema_version: migrations.at(-1)?.version,
      caller: CALLER,
      topic_prefix: 'paku',
    });
  });

  test('refuses what is no call, no JSON, no cursor', async () => {
    const event = { requestContext: { authorizer: { iam: { userArn: CALLER } } } };
    const answer = await api.app.request('/v1/nothing', {}, { event });
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    const broken = await api.app.request(
      '/v1/rollouts',
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' },
      { event },
    );
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({ detail: 'Malformed JSON in request body.' });
    const untyped = await api.app.request('/v1/rollouts', { method: 'POST', body: '{}' }, { event });
    expect(untyped.status).toBe(400);
    expect(await untyped.json()).toMatchObject({ detail: expect.stringContaining('content-type: application/json') });
    expect(await refusal(client.devices({ cursor: 'x' }))).toMatchObject({ errors: [{ field: 'cursor' }] });
    expect(await refusal(client.devices({ limit: 1000 }))).toMatchObject({ errors: [{ field: 'limit' }] });
  });
});
