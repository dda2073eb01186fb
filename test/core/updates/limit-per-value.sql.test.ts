import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sql } from '../../../core/db/index.ts';
import { describeState, explainDevice } from '../../../core/explain/index.ts';
import { type PlannedSend, reserveSends } from '../../../core/updates/dispatch-updates.ts';
import { pickPendingUpdates } from '../../../core/updates/pick-updates.ts';
import { DRAFT, refusal, TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(begin);

async function begin(): Promise<void> {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  service = new TestService(db.app, db.roles);
}

const PER_SITE = { stages: [], max_in_flight_per: { attribute: 'site', max: 2 } };

/** Devices `north0`, `north1`, … with the attribute `site`; without one if the site is null. */
async function addSite(prefix: string, count: number, site: string | number | null = prefix): Promise<void> {
  await addDevices(db.app, count, { prefix });
  await db.app.query(
    `UPDATE devices SET metadata = jsonb_strip_nulls(jsonb_build_object('site', :site::jsonb)) WHERE device_id LIKE :prefix || '%'`,
    { site: JSON.stringify(site), prefix },
  );
}

/** Updates in flight of every rollout, by the site of their devices. */
async function inFlight(): Promise<Record<string, number>> {
  const rows = await db.app.query<{ site: string; updates: number }>(
    `SELECT coalesce(d.metadata ->> 'site', 'none') AS site, count(*)::integer AS updates
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE u.completed_at IS NULL AND u.status <> 'pending' GROUP BY 1`,
  );
  return Object.fromEntries(rows.map(({ site, updates }) => [site, updates]));
}

const at = (devices: readonly string[], site: string) => devices.filter((device) => device.startsWith(site));

describe('devices with the same value of an attribute', () => {
  test('have at most so many updates in flight, and the others of the rollout are not limited', async () => {
    await addSite('north', 5);
    await addSite('south', 3);
    await addSite('other', 4, null);
    await addRollout(db.app, 'r', '2.0.0', PER_SITE);
    await service.tick();
    expect(await inFlight()).toEqual({ north: 2, south: 2, none: 4 });
    service.later(2);
    expect(await service.tick()).toEqual([]);
    const [first = ''] = at(
      service.sent.map(({ deviceId }) => deviceId),
      'north',
    );
    await service.fail(first);
    service.later(2);
    expect(at(await service.tick(), 'north')).toHaveLength(1);
    expect(await inFlight()).toMatchObject({ north: 2, south: 2 });
  });

  test('are counted with the updates of every rollout, in which a number and its text are one value', async () => {
    await addSite('busy', 1, 7);
    await addSite('north', 3, '7');
    await addRollout(db.app, 'unlimited', '3.0.0', {
      stages: [],
      priority: 5,
      target_type: 'specific',
      target_filter: { device_ids: ['busy0'] },
    });
    await addRollout(db.app, 'r', '2.0.0', PER_SITE);
    expect(at(await service.tick(), 'north')).toHaveLength(1);
    await service.succeed('busy0');
    expect(at(await service.tick(), 'north')).toHaveLength(1);
    expect(await inFlight()).toEqual({ 7: 2 });
  });

  test('do not limit a rollout that has no such limit', async () => {
    await addSite('north', 4);
    await addRollout(db.app, 'r', '2.0.0', PER_SITE);
    await service.tick();
    await addRollout(db.app, 'urgent', '3.0.0', { stages: [], priority: 5 });
    expect(await service.tick()).toHaveLength(2);
    expect(await inFlight()).toEqual({ north: 4 });
  });

  test('wait when they return, and are sent their update once there is room', async () => {
    await addSite('north', 3);
    await addRollout(db.app, 'r', '2.0.0', PER_SITE);
    service.absent.add('north0').add('north1').add('north2');
    await service.tick();
    service.later(60);
    await service.tick();
    service.absent.clear();
    await service.statuses(['north0', 'north1', 'north2'], '1.0.0', 100_000);
    expect(service.sent).toHaveLength(2);
    const waiting = ['north0', 'north1', 'north2'].find((id) => !service.sent.some(({ deviceId }) => deviceId === id));
    service.later(1);
    await service.status(String(waiting), '1.0.0', 100_000);
    await service.tick();
    expect(service.sent).toHaveLength(2);
    await service.fail(service.sent[0]?.deviceId ?? '');
    service.later(1);
    expect(await service.tick()).toEqual([waiting]);
  });

  test('do not keep the others from being picked', async () => {
    await addSite('many', 300, 'north');
    await addRollout(db.app, 'r', '2.0.0', { ...PER_SITE, max_in_flight: 3 });
    expect(await service.tick()).toHaveLength(2);
    await addSite('south', 1);
    await db.app.query('UPDATE rollout_configurations SET rollout_percentage = 100');
    service.later(2);
    expect(await service.tick()).toEqual(['south0']);
  });

  test('may change: the value counts that a device has when a command is sent', async () => {
    await addSite('north', 3);
    await addRollout(db.app, 'r', '2.0.0', PER_SITE);
    await service.tick();
    await db.app.query(`UPDATE devices SET metadata = '{"site": "south"}' WHERE device_id = :moved`, {
      moved: service.sent[0]?.deviceId ?? '',
    });
    service.later(2);
    await service.tick();
    expect(await inFlight()).toEqual({ north: 2, south: 1 });
  });
});

describe('several dispatchers at once', () => {
  /** Two rollouts with a limit of 2 for the 30 devices of each of two sites. @returns their updates, which none was sent */
  async function assignTwo(): Promise<{ rollout: number; sends: PlannedSend[] }[]> {
    await addSite('north', 30);
    await addSite('south', 30);
    const { max_in_flight_per } = PER_SITE;
    await addRollout(db.app, 'one', '2.0.0', { stages: [], max_in_flight_per, rollout_percentage: 50 });
    await addRollout(db.app, 'two', '3.0.0', { stages: [], max_in_flight_per, priority: -1 });
    for (const site of ['north', 'south']) for (let n = 0; n < 30; n++) service.fates.set(`${site}${n}`, 'throttled');
    await service.tick();
    const updates = await db.app.query<{ id: number; rollout: number }>(
      `SELECT id, rollout_id AS rollout FROM device_update_status WHERE status = 'pending' ORDER BY md5(id::text)`,
    );
    return [1, 2].map((rollout) => ({
      rollout,
      sends: updates
        .filter((update) => update.rollout === rollout)
        .map(({ id }) => ({ id, family: 'devices', delivery: 'redirect' })),
    }));
  }

  const reserve = (sql: Sql, rollout: number, sends: readonly PlannedSend[]) =>
    reserveSends(sql, rollout, sends, service.now);

  test('never have more in flight than two rollouts allow for a site', async () => {
    const rollouts = await assignTwo();
    const shares = rollouts.flatMap(({ rollout, sends }) =>
      [0, 1, 2, 3].map((part) => ({ rollout, sends: sends.filter((_, index) => index % 4 === part) })),
    );
    const granted = await Promise.all(shares.map(({ rollout, sends }) => reserve(db.roles.control, rollout, sends)));
    expect(granted.flat()).toHaveLength(4);
    expect(await inFlight()).toEqual({ north: 2, south: 2 });
  });

  test.runIf(process.env.TEST_DATABASE_URL)('wait for the one that counts, and see what it has reserved', async () => {
    const [one, two] = await assignTwo();
    if (one === undefined || two === undefined) throw new Error('no rollouts');
    let later: Promise<unknown[]> = Promise.resolve([]);
    await db.owner.transaction(async (sql) => {
      expect(await reserve(sql, one.rollout, one.sends)).toHaveLength(4);
      later = reserve(db.roles.control, two.rollout, two.sends);
      const first = await Promise.race([later, new Promise((resolve) => setTimeout(resolve, 300, 'it waits'))]);
      expect(first).toBe('it waits');
    });
    expect(await later).toEqual([]);
  });

  test('in any order of ticks, returns, failures and successes no site has more in flight than allowed', async () => {
    const SITES = ['north', 'south'];
    const device = fc.constantFrom(...SITES.flatMap((site) => [0, 1, 2, 3].map((n) => `${site}${n}`)), 'other0');
    const step = fc.oneof(
      fc.constantFrom('tick' as const, 'ticks' as const, 'wait' as const),
      fc.record({ device, what: fc.constantFrom('returns' as const, 'fails' as const, 'succeeds' as const) }),
      fc.record({ device, what: fc.constantFrom('absent' as const, 'reachable' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2),
        fc.constantFrom({}, { max_in_flight: 2 }),
        fc.array(step, { minLength: 12, maxLength: 25 }),
        async (max, columns, steps) => {
          await begin();
          for (const site of SITES) await addSite(site, 4);
          await addSite('other', 1, null);
          const limit = { ...columns, max_in_flight_per: { attribute: 'site', max } };
          await addRollout(db.app, 'one', '2.0.0', { ...limit, stages: [], failure_threshold: 1 });
          await addRollout(db.app, 'two', '3.0.0', { ...limit, priority: 1 });
          for (const next of steps) {
            if (next === 'wait') service.later(3);
            else if (next === 'tick') await service.tick();
            else if (next === 'ticks') await Promise.all([service.tick(), service.tick(), service.tick()]);
            else if (next.what === 'absent') service.absent.add(next.device);
            else if (next.what === 'reachable') service.absent.delete(next.device);
            else if (next.what === 'returns') await service.status(next.device, '1.0.0', 100_000);
            else if (next.what === 'fails') await service.fail(next.device);
            else await service.succeed(next.device);
            const { none: _, ...sites } = await inFlight();
            expect(Math.max(0, ...Object.values(sites))).toBeLessThanOrEqual(max);
          }
        },
      ),
      { numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 12) },
    );
  }, 120_000);
});

test('the pick leaves out devices without room, two for each that has room', async () => {
  await addSite('north', 10);
  const id = await addRollout(db.app, 'r', '2.0.0', PER_SITE);
  await service.tick();
  service.later(2);
  expect(await pickPendingUpdates(db.roles.control, id, 500, service.now, 60)).toEqual([]);
  await service.fail(service.sent[0]?.deviceId ?? '');
  expect(await pickPendingUpdates(db.roles.control, id, 500, service.now, 60)).toHaveLength(2);
});

test('a pick that cannot look at all devices puts those without room behind the others', async () => {
  await addSite('north', 50);
  const id = await addRollout(db.app, 'r', '2.0.0', PER_SITE);
  await service.tick();
  await addSite('south', 1);
  service.later(2);
  service.fates.set('south0', 'throttled');
  await service.tick();
  service.later(2);
  const pick = () => pickPendingUpdates(db.roles.control, id, 5, service.now, 60);
  expect(await pick()).toEqual([]);
  service.later(1);
  expect(await pick()).toEqual([]);
  service.later(1);
  expect(await pick()).toHaveLength(1);
});

test('the rollout and the explanation of a device say which value has no room, with both numbers', async () => {
  await addSite('north', 5);
  await addSite('south', 3);
  const id = await addRollout(db.app, 'r', '2.0.0', PER_SITE);
  await service.tick();
  expect(await describeState(db.app, id, service.now)).toMatch(
    /; 4 devices wait, because the limit of 2 updates in flight is reached for site north, south$/,
  );
  const waiting = ['north0', 'north1', 'north2', 'north3', 'north4'].find(
    (device) => !service.sent.some(({ deviceId }) => deviceId === device),
  );
  expect(await explainDevice(db.app, id, String(waiting), service.now)).toMatchObject({
    rule: 'has a pending update to 2.0.0',
    next: 'it waits for room at site north: 2 of its devices have an update in flight, and the rollout allows 2',
  });
});

describe('the API', () => {
  const limit = { attribute: 'site', max: 2 };

  test('stores the limit, changes it and removes it', async () => {
    const { client } = new TestApi(db.roles.control, () => service.now);
    const created = await client.createRollout({ ...DRAFT, max_in_flight_per: limit });
    expect(created.max_in_flight_per).toEqual(limit);
    const more = await client.changeRollout('r', created.updated_at, { max_in_flight_per: { ...limit, max: 3 } });
    expect(more.max_in_flight_per).toEqual({ ...limit, max: 3 });
    expect((await client.createRollout({ ...DRAFT, name: 'none' })).max_in_flight_per).toBeNull();
    await client.changeRollout('r', more.updated_at, { max_in_flight_per: null });
    expect((await client.rollout('r')).max_in_flight_per).toBeNull();
  });

  test('refuses a limit that is none, and says what is expected', async () => {
    const { client } = new TestApi(db.roles.control, () => service.now);
    const of = async (max_in_flight_per: typeof limit) =>
      (await refusal(client.createRollout({ ...DRAFT, max_in_flight_per }))).errors;
    expect(await of({ attribute: 'site', max: 0 })).toEqual([
      { field: 'max_in_flight_per.max', message: expect.stringContaining('1') },
    ]);
    expect(await of({ attribute: '', max: 1 })).toEqual([
      { field: 'max_in_flight_per.attribute', message: 'must not be empty' },
    ]);
  });

  test('warns in the preview of devices that it does not limit, and of an attribute that none has', async () => {
    const { client } = new TestApi(db.roles.control, () => service.now);
    const warnings = async (attribute: string) =>
      (await client.previewRollout({ ...DRAFT, max_in_flight_per: { attribute, max: 2 } })).warnings;
    await addSite('north', 2);
    expect(await warnings('site')).toEqual([]);
    expect(await warnings('Site')).toEqual([
      {
        code: 'NOT_LIMITED',
        message: 'no device has the attribute Site, so max_in_flight_per limits none; did you mean site?',
      },
    ]);
    await addSite('other', 3, null);
    expect(await warnings('site')).toEqual([
      {
        code: 'NOT_LIMITED',
        message: 'max_in_flight_per does not limit 3 of 5 devices, which have no attribute site',
      },
    ]);
  });
});

test.each([
  '{}',
  '{"attribute": "site"}',
  '{"attribute": "", "max": 1}',
  '{"attribute": "site", "max": 0}',
  '{"attribute": "site", "max": 1.5}',
  '{"attribute": "site", "max": "2"}',
  '{"attribute": "site", "max": 2, "min": 1}',
  'null',
])('the database refuses the limit %s', async (text) => {
  const insert = db.app.query(
    `INSERT INTO rollout_configurations (name, firmware_version, max_in_flight_per) VALUES ('r', '2.0.0', :text::jsonb)`,
    { text },
  );
  await expect(insert).rejects.toThrow(/rollout_configurations_in_flight_per_check/);
});
