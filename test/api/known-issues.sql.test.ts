import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
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
  for (const version of ['2.0.0', '2.1.0', '3.0.0']) await addRelease(db.app, version);
  await addDevices(db.app, 6);
  service = new TestService(db.app, db.roles);
  api = new TestApi(db.roles.control, () => service.now);
  client = api.client;
});

const AT_ONCE = { ...DRAFT, stages: [], keep_open: true };
const ISSUE = { device_model: 'esp32-s3', found_version: '2.0.0', title: 'the heater stays on' };

test('an issue says which devices it concerns, which of them run a release with it, and which recovery sends these back', async () => {
  await client.createRollout({
    ...AT_ONCE,
    name: 'first',
    target_filter: { device_ids: ['d0'] },
    target_type: 'specific',
  });
  await service.tick();
  await service.succeed('d0');
  await client.changeGroup('old', { add: ['d0', 'd1', 'd2'] });
  const woken = api.woken;
  const issue = { ...ISSUE, filter: { groups: ['old'] }, link: 'https://bugs.example/7' };
  const effect = {
    devices: 3,
    running: 1,
    pending: 0,
    recoverable: [{ rollout_id: 1, rollout_name: 'first', firmware_version: '2.0.0', state: 'active', devices: 1 }],
  };
  expect(await client.previewIssue({ ...issue, filter: { groups: ['old', 'odl'] } })).toEqual({
    ...effect,
    warnings: [{ code: 'UNKNOWN_GROUP', message: 'no device is in the group odl' }],
  });
  const added = await client.addIssue(issue);
  expect(api.woken).toBeGreaterThan(woken);
  expect(added).toMatchObject({ ...effect, ...issue, state: 'open', created_by: CALLER, reached_by: [] });
  expect((await client.addIssue(issue)).issue_id).toBe(added.issue_id);
  expect((await client.issues({ model: 'esp32-s3', version: '2.1.0' })).items).toMatchObject([{ title: ISSUE.title }]);
});

test('an active rollout names the issues that keep devices from it', async () => {
  await client.createRollout({ ...AT_ONCE, keep_open: true });
  await service.tick();
  const { issue_id: issue } = await client.addIssue(ISSUE);
  await client.addIssue({ ...ISSUE, found_version: '2.1.0' });
  await service.tick();
  expect((await client.rollout('r')).waiting_for).toMatch(
    new RegExp(
      `; not sent to devices of known issue ${issue}: the heater stays on \\(\`paku-ota issue show ${issue}\`\\)$`,
    ),
  );
});

test('the end of an issue says which rollouts send because of it, and to how many devices', async () => {
  await client.changeGroup('old', { add: ['d0', 'd1'] });
  await client.createRollout(AT_ONCE);
  service.absent.add('d0');
  await service.tick();
  service.absent.clear();
  const { issue_id: issue } = await client.addIssue({ ...ISSUE, filter: { groups: ['old'] } });
  const { issue_id: other } = await client.addIssue({ ...ISSUE, title: 'no Wi-Fi', filter: { device_ids: ['d5'] } });
  await addDevices(db.app, 1, { prefix: 'e' });
  await client.changeGroup('old', { add: ['e0'] });
  await service.tick();
  // d0 has a pending update from before the issue; d1 was sent the release before it.
  const both = [{ rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', devices: 2 }];
  expect((await client.issue(issue)).reached_by).toEqual(both);
  expect((await client.issue(other)).reached_by).toEqual([]);
  // A later release fixes it: 2.0.0 has it still.
  expect((await client.issue(issue, '2.1.0')).reached_by).toEqual([]);
  expect(await client.withdrawIssue(issue, 'wired wrongly')).toMatchObject({
    state: 'withdrawn',
    withdrawn_by: CALLER,
    withdrawn_reason: 'wired wrongly',
    reached_by: both,
  });
  await service.status('d0', '1.0.0');
  await service.tick();
  expect(
    service.sent
      .slice(-2)
      .map(({ deviceId }) => deviceId)
      .sort(),
  ).toEqual(['d0', 'e0']);
});

test('the release that fixes an issue is sent to the devices that it concerns', async () => {
  const { issue_id: issue } = await client.addIssue(ISSUE);
  await client.createRollout({ ...AT_ONCE, firmware_version: '3.0.0' });
  expect(await service.tick()).toEqual([]);
  const fixed = await client.fixIssue(issue, '3.0.0');
  expect(fixed).toMatchObject({
    state: 'fixed',
    fixed_version: '3.0.0',
    fixed_by: CALLER,
    reached_by: [{ devices: 6 }],
  });
  expect(await service.tick()).toHaveLength(6);
  expect((await client.issues({ model: 'esp32-s3', version: '3.0.0' })).items).toEqual([]);
  expect((await client.issues({ state: 'fixed' })).items).toHaveLength(1);
});

test('an issue that two keep is freed by the end of the second', async () => {
  const { issue_id: first } = await client.addIssue(ISSUE);
  await client.addIssue({ ...ISSUE, title: 'no Wi-Fi' });
  await client.createRollout(AT_ONCE);
  expect((await client.withdrawIssue(first, 'over')).reached_by).toEqual([]);
  expect(await service.tick()).toEqual([]);
});

test('a recovery sends devices back to a release with an issue', async () => {
  await client.createRollout(AT_ONCE);
  await service.tick();
  for (const device of ['d0', 'd1', 'd2', 'd3', 'd4', 'd5']) await service.succeed(device);
  await client.createRollout({ ...AT_ONCE, name: 'next', firmware_version: '2.1.0' });
  await service.tick();
  await service.succeed('d0');
  await client.addIssue(ISSUE);
  await client.act(2, 'pause', 'bad');
  await client.recover(2, 'bad');
  await service.tick();
  await service.status('d0', '2.1.0', 900);
  expect(service.sent.at(-1)).toMatchObject({ deviceId: 'd0', version: '2.0.0' });
});

test('what cannot be an issue is refused with what to do', async () => {
  expect(await refusal(client.addIssue({ ...ISSUE, found_version: '9.0.0' }))).toMatchObject({
    status: 404,
    detail: 'There is no release 9.0.0 for esp32-s3.',
  });
  const ids = Array.from({ length: 500 }, (_, n) => `device-${n}`);
  expect(await refusal(client.previewIssue({ ...ISSUE, filter: { device_ids: ids } }))).toMatchObject({
    detail: expect.stringMatching(
      /^filter: \d+ bytes of JSON, at most 4096 can be read; put the devices into a group$/,
    ),
  });
  expect((await refusal(client.addIssue({ ...ISSUE, link: 'javascript:alert(1)' }))).detail).toMatch(/^link: /);
  const { issue_id: issue } = await client.addIssue({ ...ISSUE, found_version: '2.1.0' });
  for (const version of ['2.0.0', '2.1.0']) {
    expect(await refusal(client.fixIssue(issue, version))).toMatchObject({
      status: 400,
      detail: `version: ${version} is not higher than 2.1.0, in which the issue was found`,
    });
  }
  await client.fixIssue(issue, '3.0.0');
  expect(await refusal(client.fixIssue(issue, '3.0.0'))).toMatchObject({
    status: 409,
    detail: `Known issue ${issue} was fixed in 3.0.0. If a later release has it again, add a new issue to that release.`,
  });
  await client.withdrawIssue(issue, 'over');
  expect((await refusal(client.withdrawIssue(issue, 'over'))).status).toBe(409);
  await db.app.query(
    `INSERT INTO known_issues (device_model, found_version, title) SELECT 'esp32-s3', '2.0.0', 'x' FROM generate_series(1, 50)`,
  );
  expect(await refusal(client.addIssue(ISSUE))).toMatchObject({
    status: 409,
    detail: expect.stringContaining('50 known issues apply to releases of esp32-s3, and no more can'),
  });
});
