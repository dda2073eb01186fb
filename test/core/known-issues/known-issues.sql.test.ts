import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice, NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { addIssue, MAX_ISSUES, type NewIssue } from '../../../core/known-issues/index.ts';
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
  for (const version of ['2.0.0', '2.1.0', '3.0.0']) await addRelease(db.app, version);
  await addDevices(db.app, 4);
  await db.app.query(`UPDATE devices SET metadata = '{"heater": "old"}' WHERE device_id IN ('d0', 'd1')`);
  service = new TestService(db.app, db.roles);
});

const AT_ONCE = { stages: [] };
const OLD_HEATER = { metadata: { heater: 'old' } };

async function addKnownIssue(values: Partial<NewIssue> = {}): Promise<number> {
  const issue = { deviceModel: 'esp32-s3', foundVersion: '2.0.0', title: 'the heater stays on', link: null };
  const added = await addIssue(
    db.roles.control,
    { ...issue, filter: OLD_HEATER, by: 'arn:aws:iam::1:user/ann', ...values },
    service.now,
  );
  if (added === undefined) throw new Error('no issue was added');
  return added.id;
}

const fix = (id: number, version: string) =>
  db.app.query('UPDATE known_issues SET fixed_version = :version WHERE id = :id', { id, version });

describe('a device that a known issue concerns', () => {
  test('is not assigned the release, and the rollout completes without it', async () => {
    await addKnownIssue();
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    expect((await service.tick()).sort()).toEqual(['d2', 'd3']);
    for (const device of ['d2', 'd3']) await service.succeed(device);
    service.later(60);
    await service.tick();
    expect(await db.app.query('SELECT state FROM rollout_overview WHERE rollout_id = :id', { id })).toEqual([
      { state: 'completed' },
    ]);
  });

  test('is explained by the issue, with the command that shows it', async () => {
    const issue = await addKnownIssue();
    const id = await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
    await service.tick();
    expect(await explainDevice(db.app, id, 'd0', service.now)).toEqual({
      rule: `known issue ${issue}: the heater stays on`,
      since: null,
      next: `nothing, until a release that fixes it is sent, or the issue is withdrawn: \`paku-ota issue show ${issue}\``,
    });
  });

  test('is among those that a preview says are not updated', async () => {
    const issue = await addKnownIssue();
    expect(await previewRollout(db.app, newRollout(), NO_RULES)).toMatchObject({
      willBeUpdated: 2,
      willNot: [{ reason: `known issue ${issue}: the heater stays on (\`paku-ota issue show ${issue}\`)`, devices: 2 }],
    });
  });

  test('is not sent an update that was pending before, and is assigned again after the issue', async () => {
    const id = await addRollout(db.app, 'r', '2.0.0', { ...AT_ONCE, keep_open: true });
    service.absent.add('d0');
    await service.tick();
    service.absent.clear();
    const issue = await addKnownIssue();
    expect((await explainDevice(db.app, id, 'd0', service.now))?.rule).toMatch(
      /^has a pending update to 2\.0\.0, and known issue \d+: the heater stays on/,
    );
    await service.status('d0', '1.0.0');
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0')).toEqual([]);
    await service.tick();
    expect((await explainDevice(db.app, id, 'd0', service.now))?.rule).toBe(
      `known issue ${issue}: the heater stays on`,
    );
    await db.app.query('UPDATE known_issues SET withdrawn_at = now()');
    expect(await service.tick()).toEqual(['d0']);
  });

  test('is sent the release that fixes it, and none between', async () => {
    const issue = await addKnownIssue();
    await addRollout(db.app, 'between', '2.1.0', AT_ONCE);
    expect((await service.tick()).sort()).toEqual(['d2', 'd3']);
    await addRollout(db.app, 'fixed', '3.0.0', { ...AT_ONCE, priority: 5 });
    await service.tick();
    expect(service.sent.filter(({ deviceId }) => deviceId === 'd0')).toEqual([]);
    await fix(issue, '3.0.0');
    expect((await service.tick()).sort()).toEqual(['d0', 'd1']);
    expect(service.sent.at(-1)?.version).toBe('3.0.0');
  });

  test('is not counted as the sample of a stage', async () => {
    await addKnownIssue();
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [{ percentage: 100 }] });
    await service.tick();
    expect(await db.app.query('SELECT sample_count FROM rollout_stages WHERE rollout_id = :id', { id })).toEqual([
      { sample_count: 2 },
    ]);
  });
});

test('an issue without a filter keeps every device from the release', async () => {
  await addKnownIssue({ filter: {} });
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  expect(await service.tick()).toEqual([]);
});

test('an issue keeps no device from an earlier release', async () => {
  await addKnownIssue({ foundVersion: '2.1.0' });
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  expect(await service.tick()).toHaveLength(4);
});

test('an issue whose filter cannot be read keeps every device from the release', async () => {
  const issue = await addKnownIssue();
  await db.app.query(`UPDATE known_issues SET device_filter = '{"grups": ["lab"]}' WHERE id = :issue`, { issue });
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  expect(await service.tick()).toEqual([]);
});

test('a filter selects by the version that the device runs', async () => {
  await addDevices(db.app, 1, { prefix: 'e', version: '1.5.0' });
  await addKnownIssue({ filter: { versions: ['1.0.0'] } });
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  expect(await service.tick()).toEqual(['e0']);
});

test('a filter leaves out what its exceptions name', async () => {
  await addDevices(db.app, 1, { prefix: 'e', version: '1.5.0' });
  await addKnownIssue({ filter: { except: { versions: ['1.5.0'], metadata: { heater: ['old', 'older'] } } } });
  await addRollout(db.app, 'r', '2.0.0', AT_ONCE);
  expect((await service.tick()).sort()).toEqual(['d0', 'd1', 'e0']);
});

test('a model has a bounded number of issues', async () => {
  await db.app.query(
    `INSERT INTO known_issues (device_model, found_version, title) SELECT 'esp32-s3', '2.0.0', 'x' FROM generate_series(1, :n::integer)`,
    { n: MAX_ISSUES },
  );
  await expect(addKnownIssue()).rejects.toThrow('no issue was added');
});
