import { parseAttribute } from '../../../api/attribute-text.ts';
import type { RolloutDraft } from '../../../api/rollouts.ts';

type TargetFilter = NonNullable<RolloutDraft['target_filter']>;

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
type Day = (typeof DAYS)[number];

/** What the form holds: what was typed, as it was typed. Empty means the default. */
export interface DraftForm {
  readonly name: string;
  readonly model: string;
  readonly version: string;
  readonly target: 'all' | 'group' | 'specific';
  readonly groups: readonly string[];
  /** Ids and MAC addresses. */
  readonly devices: string;
  /** `name=value`, one a line. */
  readonly attributes: string;
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
  readonly claimDeadline: string;
  readonly jitter: string;
  readonly priority: string;
  readonly startAt: string;
  /** None: every day. */
  readonly windowDays: readonly Day[];
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
  attributes: '',
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
  claimDeadline: '30',
  jitter: '',
  priority: '',
  startAt: '',
  windowDays: [],
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
      boot_timeout_minutes: numberOf(form.confirmTimeout),
      probation_minutes: numberOf(form.survival),
      give_up_days: numberOf(form.claimDeadline),
      jitter_minutes: numberOf(form.jitter),
      priority: numberOf(form.priority),
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

const MAC_ADDRESS = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i;

function filterOf({ target, groups, devices, versions, attributes }: DraftForm): TargetFilter {
  const metadata = readAttributes(attributes);
  return {
    ...(target === 'group' ? { groups: [...groups] } : {}),
    ...(target === 'specific' ? devicesOf(devices) : {}),
    ...(versions.length > 0 ? { versions: [...versions] } : {}),
    ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
  };
}

function devicesOf(text: string): TargetFilter {
  const names = text.split(/[\s,;]+/).filter((name) => name !== '');
  const addresses = names.filter((name) => MAC_ADDRESS.test(name));
  const ids = names.filter((name) => !MAC_ADDRESS.test(name));
  return {
    ...(ids.length > 0 || addresses.length === 0 ? { device_ids: ids } : {}),
    ...(addresses.length > 0 ? { mac_addresses: addresses } : {}),
  };
}

/** A line without a value becomes null, which the service refuses. */
function readAttributes(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const pairs = lines.map((line) => parseAttribute(line) ?? [line.trim(), null]);
  return Object.fromEntries(pairs) as Record<string, string>;
}

function stagesOf({ pace, stages }: DraftForm): RolloutDraft['stages'] {
  if (pace === 'slow-start') return null;
  if (pace === 'at-once') return [];
  return stages.map(({ unit, amount, soakMinutes, successPercent }) => ({
    [unit]: Number(amount),
    ...given({ soak_minutes: numberOf(soakMinutes), min_success_rate: shareOf(successPercent) }),
  }));
}

function windowOf({
  windowDays: days,
  windowFrom: from,
  windowTo: to,
}: DraftForm): RolloutDraft['send_window'] | undefined {
  if (from === '' || to === '') return undefined;
  return {
    ...(days.length > 0 ? { days: [...days] } : {}),
    from,
    to,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined. */
export function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>;
}
