import { parseLimitPer } from '../../../api/limit-per-text.ts';
import type { RolloutDraft, TargetFilter } from '../../../api/rollouts.ts';
import {
  devicesOf,
  type ExceptionForm,
  exceptionsOf,
  NO_EXCEPTIONS,
  readAttributes,
  readFacts,
} from '../text/filter-lines.ts';

type LimitPer = NonNullable<RolloutDraft['max_in_flight_per']>;

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
type Day = (typeof DAYS)[number];

/** The values of the form as they were typed. An empty text means the default. */
export interface DraftForm {
  readonly name: string;
  readonly model: string;
  readonly version: string;
  readonly target: 'all' | 'group' | 'specific';
  readonly groups: readonly string[];
  /** Device ids and MAC addresses. */
  readonly devices: string;
  /** `name=value`, one per line; of lines with the same name, one is enough. */
  readonly attributes: string;
  /** `name=value`, `name>=number` or `name<=number`, one per line. */
  readonly facts: string;
  /** Only devices on one of these versions; empty for any version. */
  readonly versions: readonly string[];
  /** Devices that are excluded. */
  readonly except: ExceptionForm;
  readonly percentage: string;
  readonly pace: 'slow-start' | 'stages' | 'at-once';
  readonly stages: readonly StageForm[];
  /** `version, facts.board_revision`. */
  readonly firstStageCovers: string;
  readonly failurePercent: string;
  readonly failureCount: string;
  readonly maxRestartRatio: string;
  readonly minReports: string;
  readonly maxInFlight: string;
  /** `site=2`. */
  readonly maxInFlightPer: string;
  readonly maxPerMinute: string;
  readonly maxAttempts: string;
  readonly attemptTimeout: string;
  readonly bootTimeout: string;
  readonly probation: string;
  readonly giveUpDays: string;
  readonly jitter: string;
  readonly priority: string;
  readonly startAt: string;
  readonly endAt: string;
  /** Id of a rollout. */
  readonly after: string;
  /** Empty for every day. */
  readonly windowDays: readonly Day[];
  readonly windowFrom: string;
  readonly windowTo: string;
  readonly keepOpen: boolean;
  readonly allowDowngrade: boolean;
  readonly includeUnknown: boolean;
}

export interface StageForm {
  /** Identifies the row when rows before it are added or removed. */
  readonly id: number;
  readonly unit: 'percentage' | 'count' | 'group';
  /** A number; the name of a group. */
  readonly amount: string;
  readonly soakMinutes: string;
  readonly successPercent: string;
  /** True if the next stage begins only once a person advances the rollout. */
  readonly waitsForPerson: boolean;
}

export const EMPTY_FORM: DraftForm = {
  name: '',
  model: '',
  version: '',
  target: 'all',
  groups: [],
  devices: '',
  attributes: '',
  facts: '',
  versions: [],
  except: NO_EXCEPTIONS,
  percentage: '100',
  pace: 'slow-start',
  stages: [
    { id: 1, unit: 'percentage', amount: '5', soakMinutes: '60', successPercent: '95', waitsForPerson: false },
    { id: 2, unit: 'percentage', amount: '25', soakMinutes: '60', successPercent: '95', waitsForPerson: false },
  ],
  firstStageCovers: '',
  failurePercent: '10',
  failureCount: '',
  maxRestartRatio: '2',
  minReports: '5',
  maxInFlight: '',
  maxInFlightPer: '',
  maxPerMinute: '',
  maxAttempts: '3',
  attemptTimeout: '15',
  bootTimeout: '15',
  probation: '5',
  giveUpDays: '30',
  jitter: '',
  priority: '',
  startAt: '',
  endAt: '',
  after: '',
  windowDays: [],
  windowFrom: '',
  windowTo: '',
  keepOpen: false,
  allowDowngrade: false,
  includeUnknown: false,
};

/** The name of the rollout; by default made of model and version. */
export const nameOf = ({ name, model, version }: DraftForm): string => name || `${model} to ${version}`;

/** The draft in the form of the API. A text that is not a number becomes NaN, which the API refuses with the name of the field. */
export function toDraft(form: DraftForm): RolloutDraft {
  return {
    name: nameOf(form),
    firmware_version: form.version,
    device_model: form.model,
    target_type: form.target,
    target_filter: filterOf(form),
    ...omitUndefined({
      rollout_percentage: numberOf(form.percentage),
      failure_threshold: shareOf(form.failurePercent),
      failure_count: numberOf(form.failureCount),
      max_restart_ratio: numberOf(form.maxRestartRatio) ?? null,
      min_reports: numberOf(form.minReports),
      max_in_flight: numberOf(form.maxInFlight),
      max_in_flight_per: limitPerOf(form.maxInFlightPer) ?? undefined,
      max_per_minute: numberOf(form.maxPerMinute),
      max_attempts: numberOf(form.maxAttempts),
      attempt_timeout_minutes: numberOf(form.attemptTimeout),
      boot_timeout_minutes: numberOf(form.bootTimeout),
      probation_minutes: numberOf(form.probation),
      give_up_days: numberOf(form.giveUpDays),
      jitter_minutes: numberOf(form.jitter),
      priority: numberOf(form.priority),
      after_rollout_id: numberOf(form.after),
      end_at: form.endAt === '' ? undefined : new Date(form.endAt).toISOString(),
      start_at: form.startAt === '' ? undefined : new Date(form.startAt).toISOString(),
      send_window: windowOf(form),
    }),
    stages: stagesOf(form),
    first_stage_covers: form.pace === 'stages' ? namesOf(form.firstStageCovers) : null,
    keep_open: form.keepOpen,
    allow_downgrade: form.allowDowngrade,
    include_unknown: form.includeUnknown,
  };
}

/** Null for an empty text. A text that is not a limit becomes one without a number, which the service refuses. */
export const limitPerOf = (text: string): LimitPer | null =>
  text.trim() === '' ? null : (parseLimitPer(text) ?? { attribute: text.trim(), max: Number.NaN });

/** Null for an empty text. */
function namesOf(text: string): string[] | null {
  const names = text.split(',').flatMap((name) => name.trim() || []);
  return names.length === 0 ? null : names;
}

const numberOf = (text: string) => (text.trim() === '' ? undefined : Number(text));

/** A percentage as a share, rounded so that 7% is 0.07 and not 0.07000000000000001. */
export function shareOf(percent: string): number | undefined {
  const value = numberOf(percent);
  return value === undefined ? undefined : Number((value / 100).toFixed(6));
}

function filterOf({ target, groups, devices, versions, attributes, facts: lines, except }: DraftForm): TargetFilter {
  const metadata = readAttributes(attributes);
  const facts = readFacts(lines);
  return {
    ...(target === 'group' ? { groups: [...groups] } : {}),
    ...(target === 'specific' ? devicesOf(devices) : {}),
    ...(versions.length > 0 ? { versions: [...versions] } : {}),
    ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
    ...(Object.keys(facts).length > 0 ? { facts } : {}),
    ...exceptionsOf(except),
  };
}

function stagesOf({ pace, stages }: DraftForm): RolloutDraft['stages'] {
  if (pace === 'slow-start') return null;
  if (pace === 'at-once') return [];
  return stages.map(({ unit, amount, soakMinutes, successPercent, waitsForPerson }) => ({
    [unit]: unit === 'group' ? amount.trim() : Number(amount),
    ...omitUndefined({ soak_minutes: numberOf(soakMinutes), min_success_rate: shareOf(successPercent) }),
    ...(waitsForPerson ? { until: 'a person advances' as const } : {}),
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

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The values without the keys whose value is undefined. */
export function omitUndefined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}
