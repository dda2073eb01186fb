import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { assignDevices } from '../../../core/assignment/index.ts';
import { parseTarget } from '../../../core/policy/index.ts';
import {
  beginStage,
  countTargets,
  listActiveRolloutIds,
  loadRolloutRuntime,
  type RolloutRuntime,
} from '../../../core/rollouts/index.ts';
import { type PlannedSend, reserveSends, storeSendOutcomes } from '../../../core/updates/dispatch-updates.ts';
import { pickPendingUpdates } from '../../../core/updates/pick-updates.ts';
import { releaseSlots } from '../../../core/updates/release-slots.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { findExceeded } from '../../support/losses.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
});

const now = new Date('2026-03-01T12:00:10Z');
const anyone = parseTarget('all', {}, 100);
if (!anyone.ok) throw new Error(anyone.reason);
const { value: target } = anyone;

async function readActive(): Promise<RolloutRuntime[]> {
  const rollouts = await Promise.all((await listActiveRolloutIds(db.app)).map((id) => loadRolloutRuntime(db.app, id)));
  return rollouts.flatMap((rollout) => rollout ?? []);
}

const everyone = { reach: { share: 1 } };

async function assign(rollout: RolloutRuntime, limit = 1_000): Promise<number> {
  const counted = { ...rollout, ...(await countTargets(db.app, rollout, target)) };
  const begun = await beginStage(db.app, counted, target, 0, everyone, ['1.0.0'], now);
  const release = {
    releaseId: rollout.release_id ?? 0,
    version: '2.0.0',
    isSteppingStone: false,
    fromVersions: ['1.0.0'],
  };
  const context = {
    rollout: {
      ...counted,
      stage_hash_cutoff: begun?.hash_cutoff ?? 'f'.repeat(32),
      stage_later_cutoff: begun?.later_cutoff ?? 'f'.repeat(32),
    },
    target,
    higherPriority: [],
    knownIssues: [],
  };
  const scope = { kind: 'chunk', after: '', until: null } as const;
  return (await assignDevices(db.app, context, release, scope, limit, now)).assigned;
}

async function startRollout(
  name: string,
  columns: Record<string, number> = {},
): Promise<{ id: number; pending: PlannedSend[] }> {
  const id = await addRollout(db.app, name, '2.0.0', columns);
  const rollout = (await readActive()).find((active) => active.id === id);
  if (rollout === undefined) throw new Error(`${name} is not active`);
  await assign(rollout);
  const ids = await pickPendingUpdates(db.app, id, 1_000, now, 60);
  return { id, pending: ids.map((update) => ({ id: update, family: 'devices', delivery: 'redirect' })) };
}

const inParallel = <T>(count: number, work: () => Promise<T>) => Promise.all(Array.from({ length: count }, work));

describe('several dispatchers at once', () => {
  test('never have more in flight than the rollout allows', async () => {
    await addDevices(db.app, 60);
    const { id, pending } = await startRollout('narrow', { max_in_flight: 7 });
    // Each dispatcher has other updates: those asked for the same updates skip them and would not reach the limit.
    const shares = Array.from({ length: 6 }, (_, n) => pending.slice(n * 10, n * 10 + 10));
    const granted = await Promise.all(shares.map((share) => reserveSends(db.app, id, share, now)));
    expect(granted.flat()).toHaveLength(7);
    expect(new Set(granted.flat().map((send) => send.id)).size).toBe(7);
    expect(await db.app.query('SELECT in_flight, sent_in_minute FROM rollout_runtime')).toEqual([
      { in_flight: 7, sent_in_minute: 7 },
    ]);
  });

  test('never send more per minute than the rollout allows, and continue in the next minute', async () => {
    await addDevices(db.app, 60);
    const { id, pending } = await startRollout('slow', { max_per_minute: 10 });
    const first = await inParallel(6, () => reserveSends(db.app, id, pending, now));
    expect(first.flat()).toHaveLength(10);
    const later = new Date(now.getTime() + 60_000);
    const second = await inParallel(6, () => reserveSends(db.app, id, pending, later));
    expect(second.flat()).toHaveLength(10);
  });

  test('never send more per minute than the rollout allows if one of them has an older clock', async () => {
    await addDevices(db.app, 60);
    const { id } = await startRollout('steady', { max_per_minute: 2 });
    const all = await db.app.query<{ id: number }>('SELECT id FROM device_update_status');
    const pending = all.map((update) => ({ ...update, family: 'devices', delivery: 'redirect' }) as const);
    const at = (seconds: number) => new Date(new Date('2026-03-01T12:00:00Z').getTime() + seconds * 1000);
    const sent = [];
    for (const seconds of [61, 59, 61, 59]) sent.push(...(await reserveSends(db.app, id, pending, at(seconds))));
    expect(sent).toHaveLength(2);
    // A late dispatcher sends in the minute in which it is counted.
    sent.push(
      ...(await reserveSends(db.app, id, pending, at(121))),
      ...(await reserveSends(db.app, id, pending, at(61))),
    );
    sent.push(...(await reserveSends(db.app, id, pending, at(180))).slice(0, 1));
    expect(sent).toHaveLength(5);
    const minutes = await db.app.query<{ sends: number }>(
      `SELECT count(*)::integer AS sends FROM update_attempts GROUP BY date_trunc('minute', sent_at)`,
    );
    expect(minutes.map(({ sends }) => sends)).toEqual([2, 2, 2]);
    // A clock that was an hour ahead does not block the others for that hour.
    expect(await reserveSends(db.app, id, pending, at(3_600))).toHaveLength(2);
    expect(await reserveSends(db.app, id, pending, at(241))).toHaveLength(2);
  });

  test.each([
    ['free the place in the minute if the device was not connected', 'absent' as const, 1],
    // A 5xx does not prove that nothing was delivered, and a 429 asks for fewer sends.
    ['keep the place in the minute if AWS throttled or failed', 'throttled' as const, 0],
  ])('%s', async (_, outcome, others) => {
    await addDevices(db.app, 60);
    const { id, pending } = await startRollout('throttled', { max_per_minute: 2 });
    const [first] = await reserveSends(db.app, id, pending, now);
    const refused = { ...(first ?? { id: 0, attempt: 0 }), outcome, message: 'x', retryAt: now };
    await storeSendOutcomes(db.app, [refused], now);
    expect(await reserveSends(db.app, id, pending.slice(2), now)).toHaveLength(others);
    expect(await findExceeded(db.app)).toEqual([]);
  });

  test('send each update once, even if several are asked to', async () => {
    await addDevices(db.app, 40);
    const { id, pending } = await startRollout('free');
    const granted = (await inParallel(8, () => reserveSends(db.app, id, pending, now))).flat();
    expect(granted.map((send) => send.id).sort()).toEqual(pending.map((send) => send.id).sort());
    expect(granted.every(({ attempt }) => attempt === 1)).toBe(true);
  });

  test('keep slot counts exact while others release slots', async () => {
    await addDevices(db.app, 50);
    const { id, pending } = await startRollout('busy', { max_in_flight: 20 });
    const [sent = []] = await inParallel(1, () => reserveSends(db.app, id, pending, now));
    const gone = sent.slice(0, 8).map((send) => ({ ...send, outcome: 'absent' as const, message: null, retryAt: now }));
    await db.app.query(
      `UPDATE device_update_status SET status = 'failed', completed_at = now()
       WHERE id IN (SELECT jsonb_array_elements_text(:ids::jsonb)::bigint)`,
      { ids: sent.slice(8, 14).map((send) => send.id) },
    );
    await Promise.all([
      storeSendOutcomes(db.app, gone, now),
      ...Array.from({ length: 4 }, () => releaseSlots(db.app)),
      ...Array.from({ length: 4 }, () => reserveSends(db.app, id, pending, now)),
    ]);
    const [pace] = await db.app.query<{ in_flight: number; held: number }>(
      `SELECT in_flight, (SELECT count(*) FROM device_update_status WHERE holds_slot)::integer AS held FROM rollout_runtime`,
    );
    expect(pace?.in_flight).toBe(pace?.held);
    expect(pace?.in_flight).toBeLessThanOrEqual(20);
  });

  test('send nothing for a halted rollout', async () => {
    await addDevices(db.app, 5);
    const { id, pending } = await startRollout('stopped');
    await db.app.query('UPDATE rollout_runtime SET is_stopped = true');
    expect(await reserveSends(db.app, id, pending, now)).toEqual([]);
  });
});

describe('several orchestrators at once', () => {
  test('never assign a device twice, within a rollout or between two', async () => {
    await addDevices(db.app, 200);
    await addRollout(db.app, 'one', '2.0.0');
    await addRollout(db.app, 'two', '2.0.0');
    const rollouts = await readActive();
    const assigned = await Promise.all([...rollouts, ...rollouts, ...rollouts].map((rollout) => assign(rollout)));
    expect(assigned.reduce((sum, count) => sum + count, 0)).toBe(200);
    const [row] = await db.app.query(
      'SELECT count(*)::integer AS updates, count(DISTINCT device_id)::integer AS devices FROM device_update_status',
    );
    expect(row).toEqual({ updates: 200, devices: 200 });
  });
});

describe('a stage', () => {
  async function begin(share: number, targeted: number): Promise<{ hash_cutoff: string; size: number } | undefined> {
    await addDevices(db.app, targeted);
    await addRollout(db.app, 'staged', '2.0.0');
    const [rollout] = await readActive();
    if (rollout === undefined) throw new Error('not active');
    const all = { ...rollout, target_hash_cutoff: 'f'.repeat(32) };
    return beginStage(db.app, all, target, 0, { reach: { share } }, ['1.0.0'], now);
  }

  test.each([
    [0.01, 100, 1],
    [0.07, 100, 7],
    [0.14, 50, 7],
    [0.29, 100, 29],
    [0.07, 101, 8],
    [0.001, 10, 1],
  ])('of %d of %i targeted devices has exactly %i', async (share, targeted, size) => {
    expect((await begin(share, targeted))?.size).toBe(size);
  });

  test('that reaches the only targeted device does not reach all that join later', async () => {
    const begun = await begin(0.1, 1);
    expect(begun?.hash_cutoff).not.toBe('f'.repeat(32));
  });
});

describe('a percentage', () => {
  test.each([
    [1, 1],
    [10, 3],
    [50, 13],
    [100, 25],
  ])(
    'of %i includes the right share of 25 devices (%i), however often devices are assigned',
    async (percentage, devices) => {
      await addDevices(db.app, 25);
      await addRollout(db.app, 'part', '2.0.0', { rollout_percentage: percentage });
      for (let tick = 0; tick < 3; tick++) {
        for (const rollout of await readActive()) await assign(rollout);
      }
      const [row] = await db.app.query('SELECT count(*)::integer AS assigned FROM device_update_status');
      expect(row).toEqual({ assigned: devices });
    },
  );
});
