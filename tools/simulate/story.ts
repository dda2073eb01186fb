import type { BuildOutcome, SimDeviceOptions } from './sim-device.ts';
import { Simulation } from './simulation.ts';

export interface StoryOptions {
  readonly seed: number;
  readonly devices: number;
  readonly build: keyof typeof BUILDS;
  /** Shares of the fleet, from 0 to 1. */
  readonly sleepers: number;
  readonly newerFamily: number;
  /** For a good build: share of installations that fail with a code, and of devices on which it never works. */
  readonly flaky: number;
  readonly broken: number;
  /** Share of the messages of devices that are lost. */
  readonly loss: number;
  /** Share of devices that lose their power for good, at a random time of the first two days. */
  readonly powerLoss: number;
  /** Share of devices whose statuses have no uptime. */
  readonly noUptime: number;
  readonly days: number;
}

export const DEFAULT_STORY: StoryOptions = {
  seed: 1,
  devices: 10_000,
  build: 'boots-back',
  sleepers: 0.2,
  newerFamily: 0.2,
  flaky: 0.02,
  broken: 0.005,
  loss: 0.02,
  powerLoss: 0,
  noUptime: 0,
  days: 14,
};

const VERSION = '2.0.0';
const STEPPING_STONE = '1.5.0';
const EDITED_VERSION = '2.1.0';
/** The version of an edited rollout is changed after this time. */
const EDITED_AFTER_SECONDS = 2 * 3600;

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
  'bad-target': (version: string) => (version === STEPPING_STONE ? 'runs' : 'boots back'),
  /** The version of the rollout is changed to a build that does not boot. */
  edited: (version: string) => (version === EDITED_VERSION ? 'boots back' : 'runs'),
  misnamed: (version: string) => ({ embeddedVersion: `${version}-dev` }),
} as const satisfies Record<string, (version: string) => BuildOutcome>;

export const BUILD_NAMES = Object.keys(BUILDS) as StoryOptions['build'][];

/** A rollout with default settings, from its first command to its end or its halt. */
export interface Story {
  readonly ended: 'completed' | 'halted' | 'still running';
  readonly reason: string | null;
  readonly hours: number;
  /** Devices that received a command for the version that the rollout ended with. Devices that slept or use another topic family did not. */
  readonly reached: number;
  /** Number of updates by state. */
  readonly states: Readonly<Record<string, number>>;
  readonly onTarget: number;
  readonly events: readonly { readonly minute: number; readonly type: string; readonly payload: object }[];
  readonly reasons: readonly { readonly status: string; readonly reason: string; readonly devices: number }[];
}

export async function playStory(options: StoryOptions): Promise<Story> {
  const simulation = await Simulation.open(options.seed);
  try {
    await simulation.addDevices(makeFleet(options, simulation));
    const needsStep = options.build === 'bad-target';
    if (needsStep) await simulation.addRelease(STEPPING_STONE);
    if (options.build === 'edited') await simulation.addRelease(EDITED_VERSION);
    await simulation.addRelease(VERSION, needsStep ? STEPPING_STONE : null);
    await simulation.sql.query(
      `INSERT INTO rollout_configurations (name, firmware_version, device_model, target_type, target_filter,
         rollout_percentage, is_active) VALUES ('story', :version, 'esp32-s3', 'all', '{}', 100, true)`,
      { version: VERSION },
    );
    if (options.build === 'edited') {
      await simulation.runUntil(() => hasEnded(simulation), EDITED_AFTER_SECONDS);
      await simulation.sql.query('UPDATE rollout_configurations SET firmware_version = :version', {
        version: EDITED_VERSION,
      });
    }
    await simulation.runUntil(() => hasEnded(simulation), options.days * 86_400);
    return await readStory(simulation, options.build === 'edited' ? EDITED_VERSION : VERSION);
  } finally {
    await simulation.close();
  }
}

function makeFleet(options: StoryOptions, { random }: Simulation): SimDeviceOptions[] {
  return Array.from({ length: options.devices }, (_, n) => {
    const isBroken = random() < options.broken;
    const sleeps = random() < options.sleepers;
    return {
      id: `van-${n}`,
      version: '1.0.0',
      family: random() < options.newerFamily ? 'edge' : 'devices',
      sleep: sleeps ? { awake: 60, asleep: 60 * (1 + Math.floor(random() * 120)) } : undefined,
      loss: options.loss,
      hasUptime: random() >= options.noUptime,
      offAt: random() < options.powerLoss ? Math.floor(random() * 2 * 86_400) : undefined,
      install: (version): BuildOutcome => {
        if (isBroken) return { failsWith: 4 };
        return random() < options.flaky ? { failsWith: 2 } : BUILDS[options.build](version);
      },
    };
  });
}

/** True if the rollout has ended, or is halted and its downloads have ended. */
async function hasEnded({ sql }: Simulation): Promise<boolean> {
  const [row] = await sql.query<{ ended: boolean }>(
    `SELECT completed_at IS NOT NULL OR paused_at IS NOT NULL AND NOT EXISTS (
       SELECT FROM device_update_status WHERE completed_at IS NULL) AS ended FROM rollout_configurations`,
  );
  return row?.ended ?? false;
}

async function readStory({ sql, second, now, devices }: Simulation, version: string): Promise<Story> {
  const [rollout] = await sql.query<{
    is_completed: boolean;
    reason: string | null;
    on_target: number;
  }>(
    `SELECT completed_at IS NOT NULL AS is_completed, paused_reason AS reason,
       (SELECT count(*)::integer FROM devices WHERE current_firmware_version = :version) AS on_target
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
  const began = now.getTime() / 1000 - second;
  const reason = rollout?.reason ?? null;
  return {
    ended: rollout?.is_completed ? 'completed' : reason === null ? 'still running' : 'halted',
    reason,
    hours: second / 3600,
    reached: [...devices.values()].filter(({ commandedVersions }) => commandedVersions.has(version)).length,
    states: Object.fromEntries(states.map(({ status, devices }) => [status, devices])),
    onTarget: rollout?.on_target ?? 0,
    events: events.map(({ seconds, type, payload }) => ({ minute: Math.round((seconds - began) / 60), type, payload })),
    reasons,
  };
}
