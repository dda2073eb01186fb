import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sampleFleetVersions } from '../../core/orchestrator/index.ts';
import { migrations } from '../../schema/index.ts';
import { CALLER, DRAFT, refusal, TestApi } from '../support/api.ts';
import { counterErrors } from '../support/counter-recount.ts';
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

describe('the service', () => {
  test('returns an overview of the fleet and what needs attention', async () => {
    await addDevices(db.app, 2);
    await db.app.query('UPDATE devices SET last_seen = :now::timestamptz', { now: service.now });
    await client.createRollout(DRAFT);
    await client.act('r', 'pause', 'lunch');
    api.deadLetters = [{ queue: 'status', messages: 3 }];
    expect(await client.fleet()).toMatchObject({
      devices: 2,
      idle_since: null,
      seen: { last_hour: 2, last_day: 2, last_week: 2, is_estimate: false },
      versions: [{ device_model: 'esp32-s3', firmware_version: '1.0.0', devices: 2 }],
      rollouts: [{ name: 'r', state: 'paused' }],
      attention: [
        { kind: 'rollout_paused', message: 'Rollout "r" is paused: lunch' },
        { kind: 'dead_letters', message: '3 messages were not handled and wait in the status queue' },
      ],
    });
  });

  test('counts revoked devices apart, and lists them', async () => {
    await addDevices(db.app, 3);
    await db.app.query('UPDATE devices SET last_seen = :now::timestamptz', { now: service.now });
    const revoke = (at: Date | null) =>
      db.app.query(`UPDATE devices SET revoked_at = :at::timestamptz WHERE device_id = 'd0'`, { at });
    const ids = async (query: object) => (await client.devices({ ...query })).items.map(({ device_id: id }) => id);
    await revoke(service.now);
    expect(await client.fleet()).toMatchObject({
      ...{ devices: 2, revoked: 1, seen: { last_hour: 2, last_week: 2 } },
      versions: [{ firmware_version: '1.0.0', devices: 2 }],
    });
    expect([await ids({ revoked: true }), await ids({ revoked: false })]).toEqual([['d0'], ['d1', 'd2']]);
    expect(await ids({})).toHaveLength(3);
    await db.app.query(`UPDATE devices SET current_firmware_version = '1.1.0' WHERE device_id = 'd0'`);
    expect((await client.fleet()).versions).toMatchObject([{ firmware_version: '1.0.0', devices: 2 }]);
    await revoke(null);
    expect(await client.fleet()).toMatchObject({ devices: 3, revoked: 0, versions: [{ devices: 2 }, { devices: 1 }] });
    await revoke(service.now);
    await db.owner.query(`DELETE FROM devices WHERE device_id = 'd0'`);
    expect(await client.fleet()).toMatchObject({ devices: 2, revoked: 0 });
    expect(await counterErrors(db.owner)).toEqual([]);
  });

  test('names devices that left a proven version, and devices that run unverified bytes, first', async () => {
    await addDevices(db.app, 3);
    await client.createRollout({ ...DRAFT, keep_open: true });
    await service.tick();
    await service.succeed('d0', 'd1');
    service.later(60);
    await service.statuses(['d0', 'd1'], '1.0.0', 20);
    await service.fetch('d2');
    await service.result('d2', 3);
    service.later(1);
    await service.status('d2', '2.0.0', 20);
    expect((await client.fleet()).attention).toEqual([
      {
        kind: 'unverified_bytes',
        message:
          'Unverified bytes are running: 1 device runs 2.0.0, sent by rollout "r", after reporting that its verification failed: d2',
        link: '/rollouts/1',
      },
      {
        kind: 'late_rollback',
        message: '2 devices left 2.0.0 in the last 7 days after proving it (rollout "r"): d0, d1',
        link: '/rollouts/1',
      },
    ]);
  });

  test('returns the history of the fleet', async () => {
    await addDevices(db.app, 2);
    await sampleFleetVersions(db.app, service.now);
    service.later(30);
    await sampleFleetVersions(db.app, service.now);
    const { items } = await client.fleetHistory(24);
    expect(items.map(({ devices }) => devices)).toEqual([2, 2]);
    service.later(48 * 60);
    expect((await client.fleetHistory(24)).items).toEqual([]);
  });

  test('counts each device once per moment of the history, also while its version changes', async () => {
    await addDevices(db.app, 2);
    await sampleFleetVersions(db.app, service.now);
    service.later(1);
    await db.app.query(`UPDATE devices SET current_firmware_version = '1.1.0'`);
    await sampleFleetVersions(db.app, service.now);
    service.later(1);
    const { items } = await client.fleetHistory(24 * 7);
    expect(items.map(({ firmware_version: version, devices }) => [version, devices])).toEqual([['1.1.0', 2]]);
  });

  test('returns decisions after a given event', async () => {
    await client.createRollout(DRAFT);
    const [created] = (await client.events()).items;
    expect(created).toMatchObject({ event: 'rollout_created', decided_by: CALLER });
    await client.act('r', 'pause', 'lunch');
    const { items } = await client.events({ after: created?.event_id ?? 0 });
    expect(items.map(({ event }) => event)).toEqual(['rollout_paused']);
  });

  test('runs a tick on request', async () => {
    await addDevices(db.app, 2);
    await client.createRollout(DRAFT);
    expect(await client.tick()).toMatchObject({ ran: true, rollouts: [{ rollout: 'r', assigned: 2, pending: 2 }] });
    expect(api.dispatched).toHaveLength(2);
  });

  test('counts the devices of a fleet that runs many versions', async () => {
    await db.app.query(
      `INSERT INTO devices (device_id, device_model, current_firmware_version)
       SELECT 'd' || n, 'esp32-s3', '1.0.' || n FROM generate_series(1, 501) AS n`,
    );
    expect((await client.fleet()).devices).toBe(501);
  });

  test('runs one of two concurrent ticks of the same operator', async () => {
    await addDevices(db.app, 2);
    await client.createRollout(DRAFT);
    const ticks = await Promise.all([client.tick(), client.tick()]);
    expect(ticks.map(({ ran }) => ran).sort()).toEqual([false, true]);
  });

  test('redrives dead letters of a queue that exists', async () => {
    api.deadLetters = [{ queue: 'ota', messages: 2 }];
    expect(await client.redriveDeadLetters('ota')).toEqual({ queue: 'ota', messages: 2 });
    expect(await refusal(client.redriveDeadLetters('nope'))).toMatchObject({ status: 404 });
  });

  test('returns what is deployed and who the caller is', async () => {
    expect(await client.info()).toMatchObject({
      schema_version: migrations.at(-1)?.version,
      caller: CALLER,
      topic_prefix: 'paku',
    });
  });

  test('rejects unknown endpoints, invalid JSON and invalid cursors', async () => {
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
