import * as z from 'zod';
import { describeErrors, type Result } from '../util/index.ts';
import { type SendWindow, sendWindow } from './send-window.ts';

/** The conditions that a stage must meet before the rollout advances. */
export interface Gate {
  /** Minutes for which the gate must be met before the next stage starts. */
  readonly soakMinutes: number;
  /** Share of successes among successes and failures, 0 to 1. */
  readonly minSuccessRate: number;
  /** Minimum results before the gate is evaluated; fewer if the stage has fewer devices. */
  readonly minReports: number;
}

/** The first `share` of the targeted devices (0 to 1), the first `count` of them, or those in a group. */
export type Reach = { readonly share: number } | { readonly count: number } | { readonly group: string };
export type Stage = Gate & {
  readonly reach: Reach;
  /** True if the next stage begins only once a person advances the rollout, however good the outcomes are. */
  readonly waitsForPerson: boolean;
};

/**
 * `stages` is null for a slow start, whose waves grow automatically. The last stage always reaches every targeted
 * device.
 */
export interface RolloutPlan {
  readonly stages: readonly Stage[] | null;
  readonly sendWindow: SendWindow | null;
}

/**
 * The hash up to which a share of all devices lies, as 32 hexadecimal digits; empty, before every hash, for a share of 0.
 * @param share 0 to 1
 */
export function cutoffOfShare(share: number): string {
  const parts = Math.round(share * 2 ** 48);
  return parts === 0 ? '' : (parts - 1).toString(16).padStart(12, '0') + 'f'.repeat(20);
}

const ALL_TARGETED: Reach = { share: 1 };

/** The value of `until` of a stage that waits for a person. */
export const UNTIL_ADVANCED = 'a person advances';

const reachKeys = (stage: { readonly [Key in 'percentage' | 'count' | 'group']?: unknown }) =>
  (['percentage', 'count', 'group'] as const).filter((key) => stage[key] !== undefined);

const stageSchema = z
  .strictObject({
    percentage: z.number().gt(0).max(100).optional(),
    count: z.number().int().positive().optional(),
    group: z.string().min(1).max(64).optional(),
    soak_minutes: z
      .number()
      .min(0)
      .max(60 * 24 * 30)
      .default(0),
    min_success_rate: z.number().min(0).max(1).optional(),
    min_reports: z.number().int().positive().optional(),
    until: z.literal(UNTIL_ADVANCED).optional(),
  })
  .refine(({ percentage, until }) => percentage !== 100 || until === undefined, {
    message: 'until: no stage follows one that reaches every device, so there is nothing to advance to',
  })
  .refine((stage) => reachKeys(stage).length === 1, {
    message: 'a stage has either a percentage, a count or a group',
  });

export const stagesSchema = z
  .array(stageSchema)
  .max(50)
  .superRefine((stages, context) => {
    const falling = (key: 'percentage' | 'count') => {
      const values = stages.flatMap((stage) => stage[key] ?? []);
      return values.some((value, index) => index > 0 && value <= (values[index - 1] ?? 0));
    };
    if (falling('percentage') || falling('count')) {
      context.addIssue({ code: 'custom', message: 'each stage must be larger than the one before' });
    }
    // A count includes the devices of the stages before it, so that the preview can say which they are.
    if (stages.some(({ group }, index) => group !== undefined && index > 0 && stages[index - 1]?.group === undefined)) {
      context.addIssue({ code: 'custom', message: 'stages of groups come first' });
    }
  });

/** Maximum bytes of these columns as text; a longer value is loaded as its length. */
export const PLAN_BYTES = { stages: 7 * 1024, sendWindow: 1024, steppingStones: 4 * 1024 } as const;

/** Parses `stages` and `send_window` of a rollout. A stage without its own gate values uses those of the rollout. */
export function parsePlan(row: {
  readonly stages: unknown;
  readonly send_window: unknown;
  readonly failure_threshold: number;
  readonly min_reports: number;
}): Result<RolloutPlan> {
  const stages = stagesSchema.nullable().safeParse(row.stages);
  if (isLength(row.stages, PLAN_BYTES.stages))
    return { ok: false, reason: tooLarge('stages', row.stages, PLAN_BYTES.stages) };
  if (isLength(row.send_window, PLAN_BYTES.sendWindow))
    return { ok: false, reason: tooLarge('send_window', row.send_window, PLAN_BYTES.sendWindow) };
  if (!stages.success) return { ok: false, reason: `stages: ${describeErrors(stages.error)}` };
  const window = sendWindow.nullable().safeParse(row.send_window);
  if (!window.success) return { ok: false, reason: `send_window: ${describeErrors(window.error)}` };
  const ownGate: Gate = { soakMinutes: 0, minSuccessRate: 1 - row.failure_threshold, minReports: row.min_reports };
  const given = stages.data?.map(
    (stage): Stage => ({
      reach: reachOf(stage),
      soakMinutes: stage.soak_minutes,
      minSuccessRate: stage.min_success_rate ?? ownGate.minSuccessRate,
      minReports: stage.min_reports ?? ownGate.minReports,
      waitsForPerson: stage.until !== undefined,
    }),
  );
  return {
    ok: true,
    value: { stages: given === undefined ? null : coverAllTargeted(given, ownGate), sendWindow: window.data },
  };
}

function reachOf({ percentage = 0, count, group }: z.output<typeof stageSchema>): Reach {
  if (group !== undefined) return { group };
  return count === undefined ? { share: percentage / 100 } : { count };
}

const isLength = (value: unknown, max: number): value is number => typeof value === 'number' && value > max;

const tooLarge = (column: string, bytes: number, max: number) =>
  `${column}: ${bytes} bytes of JSON, at most ${max} can be read`;

/** Appends a stage for all remaining devices. To update fewer devices, a rollout sets `rollout_percentage`. */
function coverAllTargeted(stages: readonly Stage[], ownGate: Gate): Stage[] {
  const last = stages.at(-1);
  const coversAll = last !== undefined && 'share' in last.reach && last.reach.share === 1;
  return coversAll ? [...stages] : [...stages, { ...ownGate, reach: ALL_TARGETED, waitsForPerson: false }];
}

/**
 * How many of the targeted devices each stage has together with those before it. A slow start is one stage.
 * @param inGroups targeted devices that a stage with a group adds, by stage
 */
export function stageSizes(
  stages: readonly Stage[] | null,
  targeted: number,
  inGroups: ReadonlyMap<number, number> = new Map(),
): number[] {
  let named = 0;
  return (stages ?? [{ reach: ALL_TARGETED }]).map(({ reach }, index) => {
    named = Math.min(targeted, named + (inGroups.get(index) ?? 0));
    return 'group' in reach ? named : sizeOf(reach, targeted, named);
  });
}

/**
 * A count includes those that groups have named. A share may or may not: which, the order of the devices decides, so that
 * the size is what is to be expected. In binary, 7% of 100 is slightly more than 7, and must not be rounded up to 8.
 */
function sizeOf(reach: Exclude<Reach, { readonly group: string }>, targeted: number, named: number): number {
  const size =
    'count' in reach
      ? Math.max(reach.count, named)
      : named + Math.ceil(Number((reach.share * (targeted - named)).toFixed(6)));
  return Math.min(targeted, Math.max(1, size));
}
