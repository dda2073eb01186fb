import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DRAFT, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
let api: TestApi;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  service = new TestService(db.app, db.roles);
  api = new TestApi(db.roles.control, () => service.now);
  await addRelease(db.app, '2.0.0');
  await addDevices(db.app, 60, { prefix: 'b' });
  await addDevices(db.app, 3, { prefix: 'a' });
  await addDevices(db.app, 2, { prefix: 'old', version: '0.9.0' });
  await db.app.query(
    `UPDATE devices SET facts = CASE WHEN device_id LIKE 'a%' THEN '{"board_revision": "A"}' WHEN device_id LIKE 'b%' THEN '{"board_revision": "B"}' ELSE '{}' END::jsonb,
       metadata = jsonb_build_object('site', CASE WHEN device_id IN ('b1', 'a1') THEN 'oslo' WHEN device_id = 'b2' THEN 'bern' ELSE 'rome' END),
       last_seen = '2026-03-02T11:59:00Z'`,
  );
});

const COVERS = ['version', 'facts.board_revision', 'attributes.site'];
const ofFirstStage = (reach: object) => ({
  ...DRAFT,
  stages: [{ ...reach }, { percentage: 50 }],
  first_stage_covers: COVERS,
});

/** The values that the devices have, without repetition. */
async function valuesOf(devices: readonly string[]): Promise<Record<string, string[]>> {
  const [row] = await db.app.query<{ values: Record<string, string[]> }>(
    `WITH chosen AS (SELECT * FROM devices WHERE device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb)))
     SELECT jsonb_build_object('versions', array(SELECT DISTINCT current_firmware_version FROM chosen ORDER BY 1),
       'boards', array(SELECT DISTINCT coalesce(facts ->> 'board_revision', 'none') FROM chosen ORDER BY 1),
       'sites', array(SELECT DISTINCT metadata ->> 'site' FROM chosen ORDER BY 1)) AS values`,
    { devices: devices },
  );
  return row?.values ?? {};
}
const ALL = { versions: ['0.9.0', '1.0.0'], boards: ['A', 'B', 'none'], sites: ['bern', 'oslo', 'rome'] };

test.each([{ count: 8 }, { percentage: 12 }])('a first stage of %j has a device with each value', async (reach) => {
  const saved = await api.client.createRollout({ ...ofFirstStage(reach), is_active: false });
  const preview = await api.client.previewOf(saved);
  expect(preview.first_stage_covers).toEqual([
    { name: 'version', values: 2, covered: 2, left_out: [] },
    { name: 'facts.board_revision', values: 3, covered: 3, left_out: [] },
    { name: 'attributes.site', values: 3, covered: 3, left_out: [] },
  ]);
  await db.app.query('UPDATE rollout_configurations SET is_active = true');
  const first = await service.tick();
  expect(first).toHaveLength(8);
  expect(await valuesOf(first)).toEqual(ALL);
  await service.succeed(...first);
  const second = [...(await service.tick()), ...(await service.tick()), ...(await service.tick())];
  expect(preview.stages.slice(0, 2)).toEqual([
    { devices: 8, will_be_updated: 8 },
    { devices: second.length, will_be_updated: second.length },
  ]);
});

test('without the names, the same stage has none of some values', async () => {
  await api.client.createRollout({ ...ofFirstStage({ count: 8 }), first_stage_covers: null });
  expect(await valuesOf(await service.tick())).not.toEqual(ALL);
});

test('a stage that is too small covers the values of most devices, and the preview says which it leaves out', async () => {
  const draft = ofFirstStage({ count: 1 });
  const { first_stage_covers: covered, warnings } = await api.client.previewRollout(draft);
  expect(covered.map(({ values, covered: of }) => [values, of])).toEqual([
    [2, 1],
    [3, 1],
    [3, 1],
  ]);
  expect(covered[2]).toEqual({
    name: 'attributes.site',
    values: 3,
    covered: 1,
    left_out: [
      { value: 'oslo', devices: 2, is_reachable: true },
      { value: 'bern', devices: 1, is_reachable: true },
    ],
  });
  expect(warnings).toContainEqual({
    code: 'NOT_COVERED',
    message:
      'the first stage has 1 device; the targeted devices have 3 values of attributes.site, and 2 of them meet the build in a later stage: oslo (2 devices), bern (1 device)',
  });
  await api.client.createRollout(draft);
  expect(await valuesOf(await service.tick())).toMatchObject({ sites: ['rome'] });
});

test('a device that is absent, held or already on the version covers no value', async () => {
  await db.app.query(`UPDATE devices SET last_seen = '2026-02-20', online = false WHERE device_id = 'a0'`);
  await db.app.query(`UPDATE devices SET current_firmware_version = '2.0.0' WHERE device_id = 'a1'`);
  await api.client.setHold({ scope: 'device', device_id: 'a2', reason: 'on a bench' });
  const { first_stage_covers: covered, warnings } = await api.client.previewRollout(ofFirstStage({ count: 8 }));
  expect(covered[1]).toMatchObject({
    name: 'facts.board_revision',
    covered: 2,
    left_out: [{ value: 'A', devices: 2, is_reachable: false }],
  });
  expect(warnings.find(({ code }) => code === 'NOT_COVERED')?.message).toContain(
    'A (2 devices, none of which can be updated now and was heard of in the last 24 h)',
  );
});

test('members of a group that comes first cover their values', async () => {
  await api.client.changeGroup('lab', { add: ['a0', 'b0', 'old0'] });
  const stages = [{ group: 'lab' }, { count: 5 }, { percentage: 50 }];
  await api.client.createRollout({ ...DRAFT, stages, first_stage_covers: COVERS });
  const lab = await service.tick();
  expect(lab.toSorted()).toEqual(['a0', 'b0', 'old0']);
  await service.succeed(...lab);
  const next = [...(await service.tick()), ...(await service.tick())];
  expect(next).toHaveLength(2);
  expect((await valuesOf(next)).sites).toEqual(['bern', 'oslo']);
});

test('a name that no device has is warned of', async () => {
  const draft = { ...ofFirstStage({ count: 8 }), first_stage_covers: ['attributes.sites'] };
  expect((await api.client.previewRollout(draft)).warnings).toContainEqual({
    code: 'NOT_COVERED',
    message: 'no device that the rollout would update has attributes.sites: is that its name?',
  });
});

test('a rollout without stages cannot name what its first stage covers', async () => {
  const draft = { ...DRAFT, stages: null, first_stage_covers: ['version'] };
  expect(await refusal(api.client.createRollout(draft))).toMatchObject({
    errors: [{ field: 'first_stage_covers', message: expect.stringContaining('a slow start has no first stage') }],
  });
});
