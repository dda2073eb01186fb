import pc from 'picocolors';
import * as z from 'zod';
import { type Database, type RowOf, select } from '../../core/db/index.ts';
import { printable } from '../../core/util/index.ts';

const deviceLine = z.strictObject({
  device_id: z.string(),
  device_model: z.string(),
  version: z.string(),
  online: z.boolean(),
  status: z.string().nullable(),
  target: z.string().nullable(),
  percent: z.int().nullable(),
  confirmed: z.boolean(),
  message: z.string().nullable(),
  /** When the update closed. */
  ended_at: z.date().nullable(),
  /** Why the rollout of the update halted. */
  stopped: z.string().nullable(),
});
type DeviceLine = RowOf<typeof deviceLine>;

const rolloutLine = z.strictObject({
  name: z.string(),
  version: z.string(),
  state: z.string(),
  paused_reason: z.string().nullable(),
  /** Number of assigned devices. */
  devices: z.int(),
  succeeded: z.int(),
  failed: z.int(),
});
type RolloutLine = RowOf<typeof rolloutLine>;

const releaseLine = z.strictObject({
  device_model: z.string(),
  version: z.string(),
  file_size: z.int(),
  revoked_reason: z.string().nullable(),
  warnings: z.array(z.looseObject({ message: z.string() })),
});

const rejectedLine = z.strictObject({ object_key: z.string(), verdict: z.string(), message: z.string() });

/** What the view shows of the fleet, from the database. */
export interface FleetSnapshot {
  readonly devices: readonly DeviceLine[];
  readonly rollouts: readonly RolloutLine[];
  readonly releases: readonly RowOf<typeof releaseLine>[];
  readonly rejected: readonly RowOf<typeof rejectedLine>[];
}

/** More lines do not fit a terminal. */
const MAX_DEVICES_SHOWN = 20;

export async function readSnapshot(database: Database): Promise<FleetSnapshot> {
  const devices = await select(
    database,
    deviceLine,
    `SELECT d.device_id, d.device_model, d.current_firmware_version AS version,
       d.online AND presumed_offline_at(greatest(d.last_seen, d.family_received_at), d.report_interval_seconds) > now() AS online,
       u.status, u.firmware_version AS target, u.progress_percent AS percent, u.booted_at IS NOT NULL AS confirmed,
       u.error_message AS message, u.completed_at AS ended_at,
       CASE WHEN r.paused_by = 'orchestrator' THEN r.paused_reason END AS stopped
     FROM devices AS d
     LEFT JOIN LATERAL (SELECT * FROM device_update_status AS u WHERE u.device_id = d.device_id ORDER BY id DESC LIMIT 1) AS u
       ON true
     LEFT JOIN rollout_configurations AS r ON r.id = u.rollout_id
     ORDER BY d.device_id LIMIT ${MAX_DEVICES_SHOWN}`,
  );
  const rollouts = await select(
    database,
    rolloutLine,
    `SELECT name, firmware_version AS version, state, paused_reason, devices, succeeded, failed
     FROM rollout_overview
     -- Unfinished rollouts come first, however many newer ones are finished.
     ORDER BY state IN ('completed', 'aborted'), rollout_id DESC LIMIT 5`,
  );
  const releases = await select(
    database,
    releaseLine,
    'SELECT device_model, version, file_size, warnings, revoked_reason FROM firmware_releases ORDER BY id DESC LIMIT 5',
  );
  const rejected = await select(
    database,
    rejectedLine,
    'SELECT object_key, verdict, message FROM rejected_uploads ORDER BY id DESC LIMIT 3',
  );
  return { devices, rollouts, releases, rejected };
}

/** The lines of the view, which cannot command the terminal whatever devices and uploads said. */
export function renderSnapshot(snapshot: FleetSnapshot): string[] {
  const { devices, rollouts, releases, rejected } = printable(snapshot);
  return [
    pc.bold('Releases'),
    ...(releases.length === 0 ? [pc.dim('  none yet')] : []),
    ...releases.flatMap(({ device_model, version, file_size, revoked_reason: revoked, warnings }) => [
      `  ${device_model} ${version}, ${Math.ceil(file_size / 1024)} KiB${revoked === null ? '' : pc.red(`, revoked: ${revoked}`)}`,
      ...warnings.map(({ message }) => pc.yellow(`    warning: ${message}`)),
    ]),
    ...rejected.map(({ object_key, verdict, message }) => pc.red(`  rejected ${object_key}: ${verdict}, ${message}`)),
    pc.bold('Rollouts'),
    ...(rollouts.length === 0 ? [pc.dim('  none yet')] : []),
    ...rollouts.map(renderRollout),
    pc.bold('Devices'),
    ...(devices.length === 0 ? [pc.dim('  none yet: they register with their first status')] : []),
    ...devices.map(renderDevice),
    ...devices.filter(wasStopped).slice(0, 1).flatMap(explain),
  ];
}

const wasStopped = ({ status, stopped }: DeviceLine) =>
  stopped !== null && ['failed', 'rolled_back', 'timed_out'].includes(status ?? '');

/** Explains a device whose update failed and whose rollout was halted: the outcome, the reason and the next step. */
function explain({ device_id, version, target, status, message, ended_at, stopped }: DeviceLine): string[] {
  const when = ended_at === null ? '' : ` at ${ended_at.toISOString().slice(11, 19)} UTC`;
  return [
    pc.bold(`Why does ${device_id} run ${version}, not ${target}?`),
    `  It ${status === 'rolled_back' ? 'was rolled back' : status?.replace('_', ' ')}${when}: ${message}.`,
    `  Its rollout was halted: ${stopped}.`,
    '  Nothing more is sent to any device until somebody resumes it.',
  ];
}

function renderRollout({
  name,
  version,
  state,
  devices,
  succeeded,
  failed,
  paused_reason: reason,
}: RolloutLine): string {
  const failures = failed === 0 ? '' : pc.red(`, ${failed} failed`);
  if (devices === 0 && state === 'completed')
    return `  ${name}: nobody to update: every device runs it, or something newer, or is another model`;
  const assigned = `${devices} assigned: ${succeeded} updated to ${version}${failures}`;
  const why = reason !== null && state !== 'completed' ? `: ${reason}` : '';
  return `  ${name}: ${bar(devices === 0 ? 0 : succeeded / devices)} ${assigned}  ${pc.dim(state + why)}`;
}

function renderDevice(device: DeviceLine): string {
  const { device_id, device_model, version, online } = device;
  const presence = online ? pc.green('●') : pc.dim('○');
  return `  ${presence} ${device_id.padEnd(18)} ${device_model.padEnd(10)} ${version.padEnd(8)} ${describeUpdate(device)}`;
}

function describeUpdate({ status, target, percent, confirmed, ended_at, message }: DeviceLine): string {
  if (status === null) return '';
  if (status === 'success')
    return ended_at === null
      ? pc.cyan(`→ ${target} ${confirmed ? 'on probation' : 'installed, not booted yet'}`)
      : pc.green(`✓ runs ${target}`);
  if (status === 'pending') return pc.yellow(`pending ${target}${message === null ? '' : `: ${message}`}`);
  if (status === 'downloading') return pc.cyan(`→ ${target} ${bar((percent ?? 0) / 100)} ${percent ?? 0} %`);
  if (['sent', 'downloaded', 'installing'].includes(status)) return pc.cyan(`→ ${target} ${status}`);
  return pc.red(`✗ ${target} ${status.replace('_', ' ')}${message === null ? '' : `: ${message}`}`);
}

const BAR_WIDTH = 16;
const bar = (share: number) => '█'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '░');
