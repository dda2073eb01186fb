import type { DeviceUpdate, Preview, Progress, Rollout } from '../../../api/rollouts.ts';
import {
  ago,
  bold,
  caller,
  countsText,
  dim,
  duration,
  instant,
  number,
  red,
  stageLines,
  stateText,
  withInstants,
  words,
} from '../../text/index.ts';

/** A rollout at one instant, as `rollout watch` shows it. */
export interface Snapshot {
  readonly rollout: Rollout;
  readonly progress: Progress;
  readonly failures: readonly DeviceUpdate[];
  /** Estimated number of devices assigned by the end; null when it was not estimated. */
  readonly expected: number | null;
}

/** The live view, redrawn on a terminal. */
export function watchLines(snapshot: Snapshot, now: Date): string[] {
  const { rollout, progress, failures } = snapshot;
  return [
    `${bold(rollout.name)}  ${rollout.device_model} to ${rollout.firmware_version}  ${stateText(rollout)}${phase(rollout)}`,
    '',
    ...(progress.stages.length === 0 ? [dim('no stage has begun')] : stageLines(progress, rollout)),
    '',
    `${countsText(rollout)}${paceText(snapshot, now)}`,
    ...(failures.length === 0 ? [] : ['', 'Latest failures', ...failures.map((update) => failureLine(update, now))]),
  ];
}

const phase = ({ state, waiting_for, paused_reason, paused_by, start_at }: Rollout): string => {
  if (state === 'halted' || state === 'paused') return ` by ${caller(paused_by ?? '')}: ${paused_reason}`;
  if (state === 'scheduled' && start_at !== null) return `, starts ${instant(start_at)}`;
  return (state === 'active' || state === 'draft' || state === 'scheduled') &&
    waiting_for !== null &&
    waiting_for !== state
    ? `, ${withInstants(waiting_for)}`
    : '';
};

/** The state in one line, for output that is not a terminal. */
export function watchLine({ rollout }: Snapshot): string {
  const { state, stage, stages } = rollout;
  const where = stage === null || state === 'completed' ? '' : ` in ${stages === null ? 'wave' : 'stage'} ${stage + 1}`;
  return `${state}${where}${phase(rollout)}: ${countsText(rollout)}`;
}

export const failureLine = ({ device_id, status, attempt, reason, ...update }: DeviceUpdate, now: Date): string =>
  `  ${red('✗')} ${device_id}  ${words(status)} in attempt ${attempt}${reason === null ? '' : `: ${reason}`}  ${dim(ago(update.completed_at, now))}`;

const RATE_MINUTES = 10;

/** Outcomes per minute over the last ten minutes, or since the first outcome; null before the first. */
export function ratePerMinute({ outcomes }: Progress, now: Date): number | null {
  const since = now.getTime() - RATE_MINUTES * 60_000;
  const recent = outcomes.filter(({ at }) => Date.parse(at) >= since);
  const total = recent.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0);
  if (total === 0) return null;
  const first = Date.parse(recent[0]?.at ?? '');
  const minutes = recent.length < outcomes.length ? RATE_MINUTES : Math.max(1, (now.getTime() - first) / 60_000);
  return total / minutes;
}

/** Estimates how many devices are assigned by the end: those assigned, and those still to be reached. Not exact with a percentage. */
export function expectedDevices(rollout: Rollout, { will_be_updated }: Preview): number {
  const { devices, pending, in_progress, failed, canceled, rollout_percentage } = rollout;
  const wanted = Math.ceil((will_be_updated * rollout_percentage) / 100);
  return devices + Math.max(0, wanted - pending - in_progress - failed - canceled);
}

/** Devices whose update has not ended, including those still to be reached. */
export function remaining({ rollout, expected }: Pick<Snapshot, 'rollout' | 'expected'>): number {
  const open = rollout.pending + rollout.in_progress;
  const ended = rollout.devices - open;
  return Math.max(open, (expected ?? 0) - ended);
}

function paceText(snapshot: Snapshot, now: Date): string {
  const rate = ratePerMinute(snapshot.progress, now);
  const left = remaining(snapshot);
  if (snapshot.rollout.state !== 'active' || left === 0) return '';
  if (rate === null) return dim(`   ${number(left)} to go`);
  const speed = rate >= 1 ? `${number(Math.round(rate))} a minute` : `${number(Math.round(rate * 60))} an hour`;
  return dim(`   ${speed}, ${number(left)} to go: about ${duration((left / rate) * 60)} at this rate`);
}
