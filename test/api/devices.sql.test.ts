import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { CALLER, DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease } from '../support/rows.ts';
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
  service = new TestService(db.app, db.roles);
  api = new TestApi(db.roles.control, () => service.now);
  client = api.client;
});

/** The time this many minutes from now. */
const iso = (minutes: number) => new Date(service.now.getTime() + minutes * 60_000).toISOString();

describe('devices', () => {
  test('lists each device once, in pages ordered by id', async () => {
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
    ['the start of an id', 'esp32-20'],
    ['the part after the hyphen', '20e9'],
    ['a MAC address in any notation', 'a0-b7-65'],
  ])('finds devices by %s', async (_, search) => {
    await addDevices(db.app, 3);
    await db.app.query(`INSERT INTO devices (device_id, mac_address) VALUES ('ESP32-20E955A0', 'A0:B7:65:20:E9:55')`);
    expect((await client.devices({ search })).items.map(({ device_id: id }) => id)).toEqual(['ESP32-20E955A0']);
  });

  test('treats a search as text, not as a pattern', async () => {
    await addDevices(db.app, 3);
    expect((await client.devices({ search: '%' })).items).toEqual([]);
    expect((await client.devices({ search: `' OR 1=1 --` })).items).toEqual([]);
  });

  test('filters devices by model, version, group and open update', async () => {
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

  test('filters devices by an attribute and by a fact', async () => {
    await addDevices(db.app, 3);
    await db.app.query(`UPDATE devices SET metadata = '{"site": "rome", "floor": 2}' WHERE device_id IN ('d0', 'd1')`);
    await db.app.query(`UPDATE devices SET metadata = '{"floor": "2"}' WHERE device_id = 'd2'`);
    await db.app.query(
      `UPDATE devices SET facts = '{"battery_percent": 20, "board_revision": "3"}' WHERE device_id = 'd1'`,
    );
    const ids = async (query: object) => (await client.devices({ ...query })).items.map(({ device_id: id }) => id);
    expect(await ids({ attribute: 'site=rome' })).toEqual(['d0', 'd1']);
    expect(await ids({ attribute: 'floor=2' })).toEqual(['d0', 'd1']);
    expect(await ids({ attribute: 'floor="2"' })).toEqual(['d2']);
    expect(await ids({ attribute: `site=x' OR 1=1 --` })).toEqual([]);
    expect(await ids({ fact: 'battery_percent<=20' })).toEqual(['d1']);
    expect(await ids({ fact: 'battery_percent>=21' })).toEqual([]);
    expect(await ids({ fact: 'board_revision="3"', attribute: 'site=rome' })).toEqual(['d1']);
    expect(await refusal(client.devices({ attribute: 'rome' }))).toMatchObject({
      errors: [{ field: 'attribute', message: '"rome" is not an attribute; expected a form like site=rome' }],
    });
    expect(await refusal(client.devices({ fact: 'battery_percent>20' }))).toMatchObject({
      errors: [
        { field: 'fact', message: expect.stringContaining('"battery_percent>20" is not a condition on a fact') },
      ],
    });
    expect(await refusal(client.devices({ fact: 'board_revision=3' }))).toMatchObject({
      errors: [{ field: 'fact', message: expect.stringContaining('board_revision: is text') }],
    });
  });

  test('stores the groups and attributes that operators set', async () => {
    await addDevices(db.app, 1);
    await client.setGroups('d0', ['vans', 'beta']);
    await client.setAttributes('d0', { site: 'x', floor: 2 });
    expect(await client.setAttributes('d0', { floor: null })).toMatchObject({
      groups: ['beta', 'vans'],
      metadata: { site: 'x' },
    });
    expect(await client.setGroups('d0', [])).toMatchObject({ groups: [] });
  });

  test('shows what a device states about itself, and since when, apart from its attributes', async () => {
    await service.status('d0', '1.0.0', 5, { slot_bytes: 1_310_720, battery_percent: 80 });
    service.later(1);
    await service.status('d0', '1.0.0', 65, { battery_percent: 79 });
    const { facts, metadata } = await client.device('d0');
    expect(metadata).toEqual({});
    expect(facts).toEqual({
      slot_bytes: { value: 1_310_720, stated_at: iso(-1) },
      battery_percent: { value: 79, stated_at: iso(0) },
    });
  });

  test('records in the timeline who changed groups and attributes', async () => {
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

  test('rejects unregistered devices in a group', async () => {
    expect(await refusal(client.changeGroup('beta', { add: ['nobody'] }))).toMatchObject({
      status: 400,
      errors: [{ field: 'add', message: 'not registered: nobody' }],
    });
  });

  test('returns the timeline of a device and explains its state', async () => {
    await addDevices(db.app, 1);
    await client.createRollout(DRAFT);
    await service.tick();
    await service.succeed('d0');
    const { items } = await client.deviceTimeline('d0');
    expect(items.map(({ event }) => event)).toContain('assigned');
    expect(await client.explain('d0')).toMatchObject({ rollout_name: 'r', rule: 'runs 2.0.0' });
    expect(await client.explain('d0', { rollout: 'r' })).toMatchObject({ rollout_name: 'r' });
    expect(await refusal(client.explain('d0', { version: '9.9.9' }))).toMatchObject({ status: 404 });
  });

  test('distinguishes installed, booted and proven updates', async () => {
    await addDevices(db.app, 1);
    await client.createRollout(DRAFT);
    await service.tick();
    await service.fetch('d0');
    await service.result('d0', 0);
    const written = { status: 'success', is_open: true, booted_at: null, deadline_at: iso(5 * 60) };
    expect((await client.devices()).items).toMatchObject([{ update: written }]);
    service.later(1);
    const bootedAt = iso(0);
    await service.status('d0', '2.0.0');
    const running = { ...written, booted_at: bootedAt, deadline_at: iso(5 * 60 + 5) };
    expect(await client.device('d0')).toMatchObject({ update: running });
    service.later(6);
    await service.tick();
    expect((await client.devices()).items).toMatchObject([{ update: { status: 'success', is_open: true } }]);
    await service.prove('d0');
    const closed = { ...running, is_open: false, deadline_at: null };
    expect((await client.devices()).items).toMatchObject([{ update: closed }]);
  });

  test('sends one device one release ahead of any other rollout', async () => {
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

  test('revokes and reinstates a device and records the reason and the operator', async () => {
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

  test('blocks a device while AWS IoT is unavailable; a second call completes the revocation', async () => {
    await addDevices(db.app, 1);
    api.certificates.set('d0', ['its-certificate']);
    vi.spyOn(api.certificates, 'get').mockImplementationOnce(() => {
      throw new Error('AWS IoT is away');
    });
    expect(await refusal(client.revokeDevice('d0', 'stolen'))).toMatchObject({ status: 500 });
    expect(await client.device('d0')).toMatchObject({ revoked_reason: 'stolen' });
    expect(await client.revokeDevice('d0', 'stolen')).toMatchObject({ certificates: ['its-certificate'] });
  });

  test('revokes a device that has never reported, which can then not request a certificate', async () => {
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

  test('rejects attributes that exceed the size limit', async () => {
    await addDevices(db.app, 2);
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`note${n}`, 'x'.repeat(256)]));
    expect(await refusal(client.setAttributes('d0', many))).toMatchObject({
      status: 400,
      errors: [{ field: 'metadata' }],
    });
    expect(await client.device('d0')).toMatchObject({ metadata: {} });
    // Attributes that already exceed the limit may be reduced.
    await db.app.query('UPDATE devices SET metadata = :many::jsonb WHERE device_id = :id', { many, id: 'd0' });
    expect((await client.setAttributes('d0', { note0: null })).metadata).not.toHaveProperty('note0');
    await db.app.query(`UPDATE devices SET metadata = '{}'`);
    expect(await client.setAttributes('d0', { site: 'rome' })).toMatchObject({ metadata: { site: 'rome' } });
    expect(await refusal(client.setAttributes('nobody', { site: 'rome' }))).toMatchObject({ status: 404 });
  });

  test('sends a release to a device with a long id', async () => {
    const [id, version] = ['d'.repeat(64), `2.0.0-${'x'.repeat(50)}`];
    await db.app.query(
      `INSERT INTO devices (device_id, device_model, current_firmware_version) VALUES (:id, 'esp32-s3', '1.0.0')`,
      { id },
    );
    await addRelease(db.app, version);
    const models = {
      'esp32-s3': { packetLimitBytes: 1024, delivery: 'redirect' as const, allowWithoutDescriptor: false },
    };
    const { client: roomy } = new TestApi(db.roles.control, () => service.now, { models });
    const { name } = await roomy.updateDevice(id, { firmware_version: version });
    expect(name).toBe(`${id} to ${version}`);
    expect(await roomy.rollout(name)).toMatchObject({ name });
  });

  test('allows listed devices to request a certificate and records who allowed them', async () => {
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
          device_model: null,
          mac_address: null,
        },
      ],
      next_cursor: null,
    });
    expect(await refusal(client.changeAllowedDevices({ add: ['a/b'] }))).toMatchObject({
      status: 400,
      errors: [{ field: 'add.0' }],
    });
  });

  test('responds 404 for unknown devices', async () => {
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

test('names the result code in the timeline and in the updates of the rollout', async () => {
  await addDevices(db.app, 1);
  await client.createRollout({ ...DRAFT, max_attempts: 1 });
  await service.tick();
  service.later(1);
  await service.fetch('d0');
  await service.result('d0', 9);
  const { items } = await client.deviceTimeline('d0', {});
  const named = items.filter(({ detail }) => detail.result !== undefined);
  expect(named.map(({ event, detail }) => [event, detail.result])).toEqual([
    ['attempt_ended', 'invalid firmware (9)'],
    ['result', 'invalid firmware (9)'],
  ]);
  expect((await client.updates('r', {})).items).toMatchObject([
    { result_code: 9, result: 'invalid firmware (9)', reason: expect.stringContaining('invalid firmware (9)') },
  ]);
});
