import type { Progress, Rollout } from '../../api/rollouts.ts';
import { FAILED_STATES, UNDER_WAY_STATES } from '../../core/policy/index.ts';
import { dim, green, red } from './style.ts';
import { pad } from './table.ts';
import { bar, number, percent } from './units.ts';

/** The part of a rollout that decides what the size of a stage means. */
export type StagedRollout = Pick<Rollout, 'stages' | 'completed_at' | 'aborted_at'>;

type Stage = Progress['stages'][number];

/** A bar for each stage, or for each wave of a slow start. */
export function stageLines({ stages }: Progress, rollout: StagedRollout): string[] {
  const isSlowStart = rollout.stages === null;
  const name = isSlowStart ? 'wave' : 'stage';
  const digits = String(stages.length).length;
  return stages.map((stage, i) => {
    const counts = countsOf(stage, isSlowStart);
    const reached = stage.size - (isSlowStart ? 0 : (stages[i - 1]?.size ?? 0));
    const isOver = stage.ended_at !== null || rollout.completed_at !== null || rollout.aborted_at !== null;
    // Targeted devices that ran the version already were never assigned, so a finished stage has the size of what was assigned.
    const size = isOver ? counts.assigned : Math.max(reached, counts.assigned);
    const label = `${name} ${pad(String(stage.stage + 1), digits)}`;
    if (isOver && size === 0) return `${dim(label)}  no devices`;
    const share = `${bar(size === 0 ? 1 : counts.ended / size)} ${pad(percent(counts.ended, size), 5, 'right')}`;
    return `${isOver ? dim(label) : label}  ${share}  of ${number(size)}${countsSuffix(counts)}`;
  });
}

interface Counts {
  readonly assigned: number;
  readonly ended: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly underWay: number;
  readonly pending: number;
  readonly canceled: number;
}

/** In a slow start a pending device belongs to no wave yet: it joins one when its command is sent. */
function countsOf({ states }: Stage, isSlowStart: boolean): Counts {
  const sum = (names: readonly (keyof typeof states)[]) =>
    names.reduce((total, each) => total + (states[each] ?? 0), 0);
  const [succeeded, failed, canceled] = [sum(['success']), sum(FAILED_STATES), sum(['canceled'])];
  const pending = isSlowStart ? 0 : sum(['pending']);
  const underWay = sum(UNDER_WAY_STATES);
  const ended = succeeded + failed + canceled;
  return { assigned: ended + underWay + pending, ended, succeeded, failed, underWay, pending, canceled };
}

function countsSuffix({ succeeded, failed, underWay, pending, canceled }: Counts): string {
  const parts = [
    ...(succeeded > 0 ? [green(`${number(succeeded)} ✓`)] : []),
    ...(failed > 0 ? [red(`${number(failed)} ✗`)] : []),
    ...(underWay > 0 ? [`${number(underWay)} under way`] : []),
    ...(pending > 0 ? [`${number(pending)} pending`] : []),
    ...(canceled > 0 ? [`${number(canceled)} canceled`] : []),
  ];
  return parts.length === 0 ? '' : `:  ${parts.join('  ')}`;
}
