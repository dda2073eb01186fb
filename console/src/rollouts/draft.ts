import type { RolloutDraft } from '../../../api/rollouts.ts';

/** What the form holds: what was typed, as it was typed. Empty means the default. */
export interface DraftForm {
  readonly name: string;
  readonly model: string;
  readonly version: string;
  readonly target: 'all' | 'group' | 'specific';
  readonly groups: readonly string[];
  readonly devices: string;
  /** Only devices that run one of these; none: whatever they run. */
  readonly versions: readonly string[];
  readonly percentage: string;
  readonly pace: 'slow-start' | 'stages' | 'at-once';
  readonly stages: readonly StageForm[];
  readonly failurePercent: string;
  readonly failureCount: string;
  readonly minReports: string;
  readonly maxInFlight: string;
  readonly maxPerMinute: string;
  readonly maxAttempts: string;
  readonly attemptTimeout: string;
  readonly confirmTimeout: string;
  readonly survival: string;
  readonly startAt: string;
  readonly windowFrom: string;
  readonly windowTo: string;
  readonly keepOpen: boolean;
  readonly allowDowngrade: boolean;
  readonly includeUnknown: boolean;
}

export interface StageForm {
  /** Stays with a row while rows before it come and go. */
  readonly id: number;
  readonly unit: 'percentage' | 'count';
  readonly amount: string;
  readonly soakMinutes: string;
  readonly successPercent: string;
}

export const EMPTY_FORM: DraftForm = {
  name: '',
  model: '',
  version: '',
  target: 'all',
  groups: [],
  devices: '',
  versions: [],
  percentage: '100',
  pace: 'slow-start',
  stages: [
    { id: 1, unit: 'percentage', amount: '5', soakMinutes: '60', successPercent: '95' },
    { id: 2, unit: 'percentage', amount: '25', soakMinutes: '60', successPercent: '95' },
  ],
  failurePercent: '10',
  failureCount: '',
  minReports: '5',
  maxInFlight: '',
  maxPerMinute: '',
  maxAttempts: '3',
  attemptTimeout: '15',
  confirmTimeout: '15',
  survival: '5',
  startAt: '',
  windowFrom: '',
  windowTo: '',
  keepOpen: false,
  allowDowngrade: false,
  includeUnknown: false,
};

/** The name of a rollout that was given none. */
export const nameOf = ({ name, model, version }: DraftForm): string => name || `${model} to ${version}`;

/** The draft as the API takes it; what is no number is left to the API, which says so. */
export function toDraft(form: DraftForm): RolloutDraft {
  return {
    name: nameOf(form),
    firmware_version: form.version,
    device_model: form.model,
    target_type: form.target,
    target_filter: filterOf(form),
    ...given({
      rollout_percentage: numberOf(form.percentage),
      failure_threshold: shareOf(form.failurePercent),
      failure_count: numberOf(form.failureCount),
      min_reports: numberOf(form.minReports),
      max_in_flight: numberOf(form.maxInFlight),
      max_per_minute: numberOf(form.maxPerMinute),
      max_attempts: numberOf(form.maxAttempts),
      attempt_timeout_minutes: numberOf(form.attemptTimeout),
      confirm_timeout_minutes: numberOf(form.confirmTimeout),
      survival_minutes: numberOf(form.survival),
      start_at: form.startAt === '' ? undefined : new Date(form.startAt).toISOString(),
      send_window: windowOf(form),
    }),
    stages: stagesOf(form),
    keep_open: form.keepOpen,
    allow_downgrade: form.allowDowngrade,
    include_unknown: form.includeUnknown,
  };
}

const numberOf = (text: string) => (text.trim() === '' ? undefined : Number(text));

/** Rounded to what was typed: 7 % is 0.07, not 0.07000000000000001. */
export function shareOf(percent: string): number | undefined {
  const value = numberOf(percent);
  return value === undefined ? undefined : Number((value / 100).toFixed(6));
}

function filterOf({ target, groups, devices, versions }: DraftForm): NonNullable<RolloutDraft['target_filter']> {
  return {
    ...(target === 'group' ? { groups: [...groups] } : {}),
    ...(target === 'specific' ? { device_ids: devices.split(/[\s,;]+/).filter((id) => id !== '') } : {}),
    ...(versions.length > 0 ? { versions: [...versions] } : {}),
  };
}

function stagesOf({ pace, stages }: DraftForm): RolloutDraft['stages'] {
  if (pace === 'slow-start') return null;
  if (pace === 'at-once') return [];
  return stages.map(({ unit, amount, soakMinutes, successPercent }) => ({
    [unit]: Number(amount),
    ...given({ soak_minutes: numberOf(soakMinutes), min_success_rate: shareOf(successPercent) }),
  }));
}

function windowOf({ windowFrom: from, windowTo: to }: DraftForm): RolloutDraft['send_window'] | undefined {
  if (from === '' || to === '') return undefined;
  return { from, to, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined. */
export function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>;
}
