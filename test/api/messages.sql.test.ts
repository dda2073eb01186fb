import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { draftForDevice } from '../../api/device-draft.ts';
import { DRAFT, refusal, TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease } from '../support/rows.ts';
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

const revoke = () => client.revokeRelease('esp32-s3', '2.0.0', 'does not boot');

/** The reason why a call was refused. */
const refusalReason = async (call: Promise<unknown>) => (await refusal(call)).detail;

test.each([
  [
    'runs a newer version',
    '3.0.0',
    'd0 would not be updated to 2.0.0: newer than 2.0.0; allow a downgrade to send it anyway.',
  ],
  ['already runs the version', '2.0.0', 'd0 would not be updated to 2.0.0: already on 2.0.0.'],
])('refuses to update a device that %s, with the reason', async (_, version, why) => {
  await addDevices(db.app, 1, { version });
  expect(await refusalReason(client.updateDevice('d0', { firmware_version: '2.0.0' }))).toBe(why);
  expect((await client.rollouts()).items).toEqual([]);
});

test('refuses to update a device that a known issue keeps back, and the preview of the same draft says so before', async () => {
  await addDevices(db.app, 1);
  const { issue_id: id } = await client.addIssue({
    device_model: 'esp32-s3',
    found_version: '2.0.0',
    title: 'the heater stays on',
  });
  const reason = `known issue ${id}: the heater stays on (\`paku-ota issue show ${id}\`)`;
  const draft = draftForDevice(await client.device('d0'), '2.0.0', false);
  expect((await client.previewRollout(draft)).will_not).toEqual([{ reason, devices: 1 }]);
  expect(await refusalReason(client.updateDevice('d0', { firmware_version: '2.0.0' }))).toBe(
    `d0 would not be updated to 2.0.0: ${reason}.`,
  );
});

test('sends a downgrade that is allowed', async () => {
  await addDevices(db.app, 1, { version: '3.0.0' });
  await client.updateDevice('d0', { firmware_version: '2.0.0', allow_downgrade: true });
  expect(await service.tick()).toEqual(['d0']);
});

test('a rollout for an empty group states that no device matches', async () => {
  await addDevices(db.app, 1);
  await client.createRollout({ ...DRAFT, target_type: 'group', target_filter: { groups: ['vnas'] } });
  await service.tick();
  expect((await client.rollout('r')).waiting_for).toBe('waiting: no device matches its target');
});

test('a preview counts the excluded devices, and warns of those that an exception does not exclude', async () => {
  await addDevices(db.app, 5);
  await db.app.query(`UPDATE devices SET metadata = '{"revision": "A"}' WHERE device_id IN ('d0', 'd1')`);
  await db.app.query(`UPDATE devices SET metadata = '{"revision": "B"}' WHERE device_id IN ('d2', 'd3')`);
  await db.app.query(`UPDATE devices SET facts = '{"modem": "old"}' WHERE device_id = 'd4'`);
  const previewOf = async (except: object) => {
    const preview = await client.previewRollout({ ...DRAFT, target_filter: { except } });
    const { matching, excluded, will_be_updated } = preview;
    return [matching, excluded, will_be_updated, ...preview.warnings.map(({ message }) => message)];
  };
  expect(await previewOf({ metadata: { revision: ['A', 'X'] } })).toEqual([
    3,
    2,
    3,
    '1 of 5 devices has no attribute revision, so target_filter.except does not exclude it by that',
  ]);
  expect(await previewOf({ metadata: { Revision: 'A' }, groups: ['lba'] })).toEqual([
    5,
    0,
    5,
    'no device is in the group lba',
    'no device has the attribute Revision, so target_filter.except excludes none by it; did you mean revision?',
  ]);
  // A fact that only a few have marks these.
  expect(await previewOf({ facts: { modem: 'old' } })).toEqual([4, 1, 4]);
  expect((await client.previewRollout(DRAFT)).excluded).toBe(0);
});

test('a preview includes the warnings about the image', async () => {
  await addDevices(db.app, 1);
  const warnings = [{ code: 'VERSION_DIFFERS', message: 'the image calls itself 1.9.9' }];
  await db.app.query('UPDATE firmware_releases SET warnings = :warnings::jsonb', { warnings });
  expect((await client.previewRollout(DRAFT)).warnings).toEqual(warnings);
});

test('names the same initiator of a stop everywhere: the service halts, a person pauses', async () => {
  await addDevices(db.app, 1);
  await client.createRollout({ ...DRAFT, stages: null });
  await client.act('r', 'pause', 'lunch');
  expect((await client.rollout('r')).state).toBe('paused');
  expect((await client.explain('d0', {})).rule).toBe('the rollout was paused: lunch');
  expect((await client.decisions('r')).items.at(-1)?.event).toBe('rollout_paused');
  expect((await client.fleet()).attention).toMatchObject([{ kind: 'rollout_paused' }]);
  await client.act('r', 'resume', 'back');
  await revoke();
  await service.tick();
  expect((await client.rollout('r')).state).toBe('halted');
  expect((await client.explain('d0', {})).rule).toMatch(/^the rollout was halted: /);
  expect((await client.decisions('r')).items.at(-1)?.event).toBe('rollout_halted');
  expect((await client.fleet()).attention).toMatchObject([{ kind: 'rollout_halted' }]);
});

test('a device that is sent a release twice gets one rollout until that one has ended', async () => {
  await addDevices(db.app, 1);
  const first = await client.updateDevice('d0', { firmware_version: '2.0.0' });
  expect(first.name).toBe('d0 to 2.0.0');
  expect((await client.updateDevice('d0', { firmware_version: '2.0.0' })).rollout_id).toBe(first.rollout_id);
  await service.tick();
  for (let attempt = 1; attempt <= 3; attempt++) {
    await service.fail('d0');
    service.later(60);
    await service.tick();
  }
  const second = await client.updateDevice('d0', { firmware_version: '2.0.0' });
  expect(second.name).toBe('d0 to 2.0.0 (2)');
});

test('a preview of a revoked release states the revocation and its reason', async () => {
  await addDevices(db.app, 1);
  await revoke();
  expect(await client.previewRollout(DRAFT)).toMatchObject({
    will_not: [{ reason: 'release 2.0.0 was revoked: does not boot', devices: 1 }],
  });
});

test.each(['resume', 'retry'] as const)('a rollout of a revoked release cannot %s', async (action) => {
  await addDevices(db.app, 2);
  await client.createRollout({ ...DRAFT, failure_count: 5, max_attempts: 1 });
  await service.tick();
  await service.fail('d0');
  await service.tick();
  await revoke();
  await service.tick();
  expect(await refusalReason(client.act('r', action, 'all is well'))).toContain(
    'its release was revoked (does not boot); abort it',
  );
});

test('after a retry, the rollout is about to scan its devices and does not announce a next stage', async () => {
  await addDevices(db.app, 4);
  await client.createRollout({
    ...DRAFT,
    stages: [{ count: 1 }, { percentage: 100 }],
    failure_count: 1,
    max_attempts: 1,
  });
  const [first] = await service.tick();
  await service.fail(first ?? '');
  service.later(1);
  await service.tick();
  expect((await client.rollout('r')).state).toBe('halted');
  expect(await client.act('r', 'retry', 'fixed')).toMatchObject({ waiting_for: 'about to scan its devices again' });
  const retried = await service.tick();
  expect(retried).toContain(first);
  expect(retried).toHaveLength(2);
  expect((await client.rollout('r')).waiting_for).toMatch(/^waiting for/);
});
