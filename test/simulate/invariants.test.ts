import fc from 'fast-check';
import { expect, test } from 'vitest';
import { abortRollout, haltRollout, resumeRollout } from '../../core/rollout-control.ts';
import type { BuildOutcome } from './sim-device.ts';
import { Simulation } from './simulation.ts';

const OUTCOMES: BuildOutcome[] = [
  'runs',
  'runs',
  'runs',
  'boots back',
  'dies young',
  'never reboots',
  'silent',
  { failsWith: 2 },
  { failsWith: 3 },
  { failsWith: 4 },
];

/** A small fleet, two rollouts, and everything that may go wrong in the first hour and a half. */
const worlds = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  chaos: fc.record({
    duplicates: fc.constantFrom(0, 0.3),
    delaySeconds: fc.constantFrom(0, 60, 240),
    crashes: fc.constantFrom(0, 0.02, 0.1),
    lastsSeconds: fc.constant(5_400),
  }),
  devices: fc.array(
    fc.record({
      outcome: fc.constantFrom(...OUTCOMES),
      family: fc.constantFrom('devices' as const, 'edge' as const, 'both' as const),
      sleep: fc.constantFrom(undefined, { awake: 60, asleep: 300 }, { awake: 60, asleep: 1_740 }),
      loss: fc.constantFrom(0, 0.3),
    }),
    { minLength: 2, maxLength: 10 },
  ),
  rollout: fc.record({
    stages: fc.constantFrom(null, [], [{ count: 2, soak_minutes: 5 }], [{ percentage: 50 }]),
    max_in_flight: fc.constantFrom(null, 1, 3),
    max_per_minute: fc.constantFrom(null, 1, 2),
    failure_threshold: fc.constantFrom(0.1, 0.5, 1),
    rollout_percentage: fc.constantFrom(30, 100),
  }),
  halts: fc.constantFrom(null, 600, 1_800),
});
type World = typeof worlds extends fc.Arbitrary<infer T> ? T : never;

const LIMIT_SECONDS = 4 * 86_400;

async function build({ seed, chaos, devices, rollout }: World): Promise<Simulation> {
  const world = await Simulation.open(seed, chaos);
  await world.addDevices(
    devices.map(({ outcome, ...device }, n) => ({ id: `d${n}`, version: '1.0.0', ...device, install: () => outcome })),
  );
  await world.addRelease('2.0.0');
  await world.addRelease('3.0.0');
  for (const [name, version] of [
    ['one', '2.0.0'],
    ['two', '3.0.0'],
  ]) {
    const values = { name, firmware_version: version, claim_deadline_days: 1, ...rollout };
    const columns = Object.keys(values).join(', ');
    await world.calmSql.query(
      `INSERT INTO rollout_configurations (${columns})
       SELECT ${columns} FROM jsonb_populate_record(NULL::rollout_configurations, :values::jsonb)`,
      { values },
    );
  }
  return world;
}

interface Snapshot {
  readonly outcomes: Record<string, string>;
  readonly limits: {
    in_flight: number;
    held: number;
    starts: number;
    allowed_starts: number | null;
    claimed: number;
  }[];
}

async function look({ calmSql }: Simulation): Promise<Snapshot> {
  const outcomes = await calmSql.query<{ id: number; outcome: string }>(
    'SELECT id, status AS outcome FROM device_update_status WHERE closed_at IS NOT NULL',
  );
  const limits = await calmSql.query<Snapshot['limits'][number]>(
    `SELECT p.in_flight, p.starts, p.allowed_starts,
       (SELECT count(*)::integer FROM device_update_status AS u WHERE u.rollout_id = p.rollout_id AND u.slot_held) AS held,
       (SELECT count(DISTINCT device_id)::integer FROM device_update_status AS u WHERE u.rollout_id = p.rollout_id) AS claimed
     FROM rollout_pace AS p`,
  );
  return { outcomes: Object.fromEntries(outcomes.map(({ id, outcome }) => [id, outcome])), limits };
}

function check(before: Snapshot, after: Snapshot, { rollout, devices }: World): void {
  for (const [id, outcome] of Object.entries(before.outcomes)) expect(after.outcomes[id]).toBe(outcome);
  for (const { in_flight, held, starts, allowed_starts, claimed } of after.limits) {
    expect(in_flight).toBe(held);
    expect(in_flight).toBeLessThanOrEqual(rollout.max_in_flight ?? devices.length);
    expect(starts).toBeLessThanOrEqual(allowed_starts ?? starts);
    expect(claimed).toBeLessThanOrEqual(Math.max(1, Math.ceil((devices.length * rollout.rollout_percentage) / 100)));
  }
}

async function play(given: World): Promise<void> {
  const world = await build(given);
  try {
    let before = await look(world);
    const halted: number[] = [];
    const why = { rolloutId: 2, reason: 'a test', by: 'a test' };
    const ended = await world.runUntil(async () => {
      if (given.halts !== null && world.second === given.halts) {
        if (await haltRollout(world.calmSql, why, world.now)) halted.push(world.second);
      }
      if (given.halts !== null && world.second === given.halts + 600 && halted.length > 0) {
        expect(world.commands.filter(({ second, rolloutId }) => rolloutId === 2 && second > (halted[0] ?? 0))).toEqual(
          [],
        );
        const { seed } = given;
        await (seed % 2 === 0 ? resumeRollout : abortRollout)(world.calmSql, why, world.now);
      }
      const after = await look(world);
      check(before, after, given);
      before = after;
      const [open] = await world.calmSql.query<{ open: boolean }>(
        `SELECT EXISTS (SELECT FROM device_update_status WHERE closed_at IS NULL AND rollout_id IS NOT NULL)
           OR EXISTS (SELECT FROM rollout_configurations WHERE completed_at IS NULL AND paused_at IS NULL) AS open`,
      );
      return !open?.open && world.second > (given.halts ?? 0) + 700;
    }, LIMIT_SECONDS);
    expect(ended).toBe(true);

    const perAttempt = new Map<string, number>();
    for (const { id, attempt } of world.commands) {
      perAttempt.set(`${id}/${attempt}`, (perAttempt.get(`${id}/${attempt}`) ?? 0) + 1);
    }
    expect([...perAttempt].filter(([, times]) => times > 1)).toEqual([]);
    const perMinute = new Map<string, number>();
    for (const { second, rolloutId } of world.commands) {
      const minute = `${rolloutId}/${Math.floor(second / 60)}`;
      perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1);
    }
    expect(Math.max(0, ...perMinute.values())).toBeLessThanOrEqual(
      given.rollout.max_per_minute ?? given.devices.length,
    );
    const doubles = await world.calmSql.query(
      'SELECT device_id FROM device_update_status WHERE closed_at IS NULL AND rollout_id IS NOT NULL GROUP BY device_id HAVING count(*) > 1',
    );
    expect(doubles).toEqual([]);
  } finally {
    await world.close();
  }
}

test(
  'whatever is delayed, doubled, lost or crashes: limits hold, outcomes stay, a halt sends nothing, every rollout ends',
  async () => {
    await fc.assert(fc.asyncProperty(worlds, play), {
      numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 6),
      ...(process.env.PAKU_OTA_PROPERTY_SEED === undefined ? {} : { seed: Number(process.env.PAKU_OTA_PROPERTY_SEED) }),
    });
  },
  30 * 60_000,
);
