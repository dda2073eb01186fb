import { listLateRollbacks } from '../../core/updates/index.ts';
import type { BuildOutcome, SimDeviceOptions } from './sim-device.ts';
import { Simulation } from './simulation.ts';

export interface StoryOptions {
  readonly seed: number;
  readonly devices: number;
  readonly build: keyof typeof BUILDS;
  /** Shares of the fleet, from 0 to 1. */
  readonly sleepers: number;
  /** Sleepers sleep between these minutes at a time, each device always the same. */
  readonly sleepFrom: number;
  readonly sleepTo: number;
  readonly newerFamily: number;
  /** Share of installations that fail with a code, and of devices that can never be updated. */
  readonly flaky: number;
  readonly broken: number;
  /** Share of the messages of devices that are lost. */
  readonly loss: number;
  /** Share of devices that lose their power for good, at a random time of the first twelve hours. */
  readonly powerLoss: number;
  /** Share of devices that register later, at a random time of the first four hours. */
  readonly growth: number;
  /** Share of devices whose statuses have no uptime. */
  readonly noUptime: number;
  /** Hours after which the build `rolls-back-later` is rolled back. */
  readonly rollbackHours: number;
  readonly days: number;
}

export const DEFAULT_STORY: StoryOptions = {
  seed: 1,
  devices: 10_000,
  build: 'boots-back',
  sleepers: 0.2,
  sleepFrom: 1,
  sleepTo: 120,
  newerFamily: 0.2,
  flaky: 0.02,
  broken: 0.005,
  loss: 0.02,
  powerLoss: 0,
  growth: 0,
  noUptime: 0,
  rollbackHours: 48,
  days: 14,
};

const VERSION = '2.0.0';
const STEPPING_STONE = '1.5.0';
const EDITED_VERSION = '2.1.0';
/** The version of an edited rollout is changed after this time. */
const EDITED_AFTER_SECONDS = 2 * 3600;
const POWER_LOSS_SECONDS = 12 * 3600;
const GROWTH_SECONDS = 4 * 3600;
/** How often the story looks whether the rollout has ended, and lets devices join. */
const LOOK_SECONDS = 300;

/** The outcome of each build on every device. */
const BUILDS = {
  good: () => 'runs',
  'boots-back': () => 'boots back',
  'dies-young': () => 'dies young',
  'never-reboots': () => 'never reboots',
  silent: () => 'silent',
  'fails-verification': () => ({ failsWith: 3 }),
  dark: () => 'goes dark',
  'crash-loop': () => 'crash loop',
  /** A good stepping stone leads to a target that does not boot. */
  'bad-target': (version) => (version === STEPPING_STONE ? 'runs' : 'boots back'),
  /** The version of the rollout is changed to a build that does not boot. */
  edited: (version) => (version === EDITED_VERSION ? 'boots back' : 'runs'),
  misnamed: (version) => ({ embeddedVersion: `${version}-dev` }),
  /** While the rollout still runs; `rolls-back-later` is rolled back after it has ended. */
  'rolls-back-soon': () => ({ rollsBackAfter: 3600 }),
  'rolls-back-later': (_version, { rollbackHours }) => ({ rollsBackAfter: rollbackHours * 3600 }),
} as const satisfies Record<string, (version: string, options: { readonly rollbackHours: number }) => BuildOutcome>;

export const BUILD_NAMES = Object.keys(BUILDS) as StoryOptions['build'][];

/** A rollout with default settings, from its first command to its end or its halt. */
export interface Story {
  readonly ended: 'completed' | 'halted' | 'waiting for devices without power' | 'still running';
  readonly reason: string | null;
  readonly hours: number;
  /** Devices that received a command for the version that the rollout ended with. Devices that slept or use another topic family did not. */
  readonly reached: number;
  /** Number of updates by state. */
  readonly states: Readonly<Record<string, number>>;
  readonly onTarget: number;
  /** Devices that registered before the end, have power and can be updated, and do not run the new version. */
  readonly stuck: number;
  readonly lateRollbacks: number;
  /** Devices that are listed for attention because they left a version that they had proven. */
  readonly listed: number;
  readonly events: readonly { readonly minute: number; readonly type: string; readonly payload: object }[];
  readonly reasons: readonly { readonly status: string; readonly reason: string; readonly devices: number }[];
}

interface Member {
  readonly device: SimDeviceOptions;
  readonly isBroken: boolean;
  /** The second at which it registers; 0: before the rollout. */
  readonly joinsAt: number;
}

export async function playStory(options: StoryOptions): Promise<Story> {
  const simulation = await Simulation.open(options.seed);
  try {
    const fleet = makeFleet(options, simulation);
    await addJoining(simulation, fleet);
    await addRollout(simulation, options.build);
    if (options.build === 'edited') {
      await play(simulation, fleet, EDITED_AFTER_SECONDS);
      await simulation.sql.query('UPDATE rollout_configurations SET firmware_version = :version', {
        version: EDITED_VERSION,
      });
    }
    const isDone = await play(simulation, fleet, options.days * 86_400);
    if (options.build === 'rolls-back-later') {
      // The last devices are rolled back after the rollout has ended; sleepers report it when they wake.
      await simulation.runUntil(async () => false, options.rollbackHours * 3600 + 2 * options.sleepTo * 60);
    }
    const broken = new Set(fleet.flatMap(({ device, isBroken }) => (isBroken ? [device.id] : [])));
    return await readStory(simulation, options.build === 'edited' ? EDITED_VERSION : VERSION, isDone, broken);
  } finally {
    await simulation.close();
  }
}

async function addRollout(simulation: Simulation, build: StoryOptions['build']): Promise<void> {
  const needsStep = build === 'bad-target';
  if (needsStep) await simulation.addRelease(STEPPING_STONE);
  if (build === 'edited') await simulation.addRelease(EDITED_VERSION);
  await simulation.addRelease(VERSION, needsStep ? STEPPING_STONE : null);
  await simulation.sql.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, target_type, target_filter,
       rollout_percentage, is_active) VALUES ('story', :version, 'esp32-s3', 'all', '{}', 100, true)`,
    { version: VERSION },
  );
}

/** Lets the simulation run until the rollout has ended. @returns false after `seconds` */
async function play(simulation: Simulation, fleet: readonly Member[], seconds: number): Promise<boolean> {
  return simulation.runUntil(async () => {
    if (simulation.second % LOOK_SECONDS !== 0) return false;
    await addJoining(simulation, fleet);
    return hasEnded(simulation);
  }, seconds);
}

/** Registers the devices that join by now. */
async function addJoining(simulation: Simulation, fleet: readonly Member[]): Promise<void> {
  const { second, devices } = simulation;
  const joining = fleet.filter(({ device, joinsAt }) => joinsAt <= second && !devices.has(device.id));
  if (joining.length === 0) return;
  await simulation.addDevices(
    joining.map(({ device }) => device),
    second > 0,
  );
}

function makeFleet(options: StoryOptions, { random }: Simulation): Member[] {
  const happens = (share: number) => share > 0 && random() < share;
  const minutes = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  return Array.from({ length: options.devices }, (_, n) => {
    const isBroken = happens(options.broken);
    return {
      isBroken,
      joinsAt: happens(options.growth) ? Math.floor(random() * GROWTH_SECONDS) : 0,
      device: {
        id: `van-${n}`,
        version: '1.0.0',
        family: happens(options.newerFamily) ? 'edge' : 'devices',
        sleep: happens(options.sleepers)
          ? { awake: 60, asleep: 60 * minutes(options.sleepFrom, options.sleepTo) }
          : undefined,
        loss: options.loss,
        hasUptime: !happens(options.noUptime),
        offAt: happens(options.powerLoss) ? Math.floor(random() * POWER_LOSS_SECONDS) : undefined,
        install: (version): BuildOutcome => {
          if (isBroken) return { failsWith: 4 };
          return happens(options.flaky) ? { failsWith: 2 } : BUILDS[options.build](version, options);
        },
      },
    };
  });
}

/** True if the rollout has ended or is halted, and no device that has power is being updated. */
async function hasEnded({ sql, devices }: Simulation): Promise<boolean> {
  const [row] = await sql.query<{ ended: boolean }>(
    `SELECT completed_at IS NOT NULL OR p.has_updates AND NOT EXISTS (
       SELECT FROM device_update_status WHERE completed_at IS NULL
         AND NOT :off::jsonb @> to_jsonb(device_id) AND (paused_at IS NULL OR status <> 'pending'))
       -- Without an open update the rollout is about to complete.
       AND (paused_at IS NOT NULL OR EXISTS (
         SELECT FROM device_update_status WHERE completed_at IS NULL)) AS ended
     FROM rollout_configurations CROSS JOIN (
       SELECT EXISTS (SELECT FROM device_update_status) AS has_updates) AS p`,
    { off: [...devices.values()].flatMap(({ isOff, options }) => (isOff ? [options.id] : [])) },
  );
  return row?.ended ?? false;
}

async function readStory(
  { sql, second, now, devices }: Simulation,
  version: string,
  isDone: boolean,
  broken: ReadonlySet<string>,
): Promise<Story> {
  const [rollout] = await sql.query<{
    is_completed: boolean;
    reason: string | null;
    on_target: number;
    late_rollbacks: number;
  }>(
    `SELECT completed_at IS NOT NULL AS is_completed, paused_reason AS reason,
       (SELECT count(*)::integer FROM devices WHERE current_firmware_version = :version) AS on_target,
       (SELECT count(*)::integer FROM device_update_status WHERE late_rollback_at IS NOT NULL) AS late_rollbacks
     FROM rollout_configurations`,
    { version },
  );
  const states = await sql.query<{ status: string; devices: number }>(
    'SELECT status, count(*)::integer AS devices FROM device_update_status GROUP BY status ORDER BY status',
  );
  const events = await sql.query<{ seconds: number; type: string; payload: object }>(
    `SELECT extract(epoch FROM received_at)::bigint AS seconds, event_type AS type, payload FROM ota_events
     WHERE device_id IS NULL ORDER BY id LIMIT 200`,
  );
  const reasons = await sql.query<Story['reasons'][number]>(
    `SELECT status, reason, count(*)::integer AS devices FROM update_attempts WHERE reason IS NOT NULL
     GROUP BY status, reason ORDER BY devices DESC, reason LIMIT 8`,
  );
  const listed = await listLateRollbacks(sql, now);
  const began = now.getTime() / 1000 - second;
  const reason = rollout?.reason ?? null;
  const fleet = [...devices.values()];
  // A device that registers when the rollout completes, or later, is not of this rollout.
  const targets = await sql.query<{ device_id: string }>(
    `SELECT device_id FROM devices, rollout_configurations AS r WHERE registered_at < coalesce(r.completed_at, 'infinity')`,
  );
  const targeted = new Set(targets.map(({ device_id }) => device_id));
  const isStuck = ({ isOff, options: { id }, version: running }: (typeof fleet)[number]) =>
    !isOff && targeted.has(id) && !broken.has(id) && running !== version;
  return {
    ended: endOf(rollout?.is_completed ?? false, reason, isDone),
    reason,
    hours: second / 3600,
    reached: fleet.filter(({ commandedVersions }) => commandedVersions.has(version)).length,
    states: Object.fromEntries(states.map(({ status, devices }) => [status, devices])),
    onTarget: rollout?.on_target ?? 0,
    stuck: fleet.filter(isStuck).length,
    lateRollbacks: rollout?.late_rollbacks ?? 0,
    listed: listed.reduce((sum, { devices }) => sum + devices, 0),
    events: events.map(({ seconds, type, payload }) => ({ minute: Math.round((seconds - began) / 60), type, payload })),
    reasons,
  };
}

function endOf(isCompleted: boolean, haltReason: string | null, isDone: boolean): Story['ended'] {
  if (isCompleted) return 'completed';
  if (haltReason !== null) return 'halted';
  return isDone ? 'waiting for devices without power' : 'still running';
}
