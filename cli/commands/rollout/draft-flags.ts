import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { parseLimitPer } from '../../../api/limit-per-text.ts';
import type { RolloutDraft } from '../../../api/rollouts.ts';
import { DAYS, UNTIL_ADVANCED } from '../../../core/policy/index.ts';
import {
  addFilterFlags,
  CliError,
  EXIT,
  type FilterFlags,
  integerOption,
  listOption,
  readFilter,
  timeOption,
} from '../../session/index.ts';

type Stages = NonNullable<RolloutDraft['stages']>;
type SendWindow = NonNullable<RolloutDraft['send_window']>;
type LimitPer = NonNullable<RolloutDraft['max_in_flight_per']>;

export interface DraftFlags extends FilterFlags {
  readonly file?: string;
  readonly model?: string;
  readonly version?: string;
  readonly name?: string;
  readonly percentage?: number;
  readonly stages?: Stages;
  readonly firstStageCovers?: string[];
  readonly maxInFlight?: number;
  readonly maxInFlightPer?: LimitPer;
  readonly maxPerMinute?: number;
  readonly failureThreshold?: number;
  readonly failureCount?: number;
  readonly maxRestartRatio?: number;
  readonly minReports?: number;
  readonly maxAttempts?: number;
  readonly probation?: number;
  readonly startAt?: string;
  readonly after?: string;
  readonly endAt?: string;
  readonly window?: SendWindow;
  readonly priority?: number;
  readonly keepOpen?: boolean;
  readonly allowDowngrade?: boolean;
  readonly includeUnknown?: boolean;
  readonly steppingStone?: string[];
  readonly draft?: boolean;
}

export const addDraftFlags = (command: Command): Command =>
  addFilterFlags(
    command
      .option('--model <model>', 'device model')
      .option('--version <version>', 'firmware version to update to')
      .option('--name <name>', 'unique name (default: "<model> <version>")')
      .option('--file <file>', 'JSON of the rollout as the API takes it, - for standard input; flags override it')
      .optionsGroup('Which devices (default: all of the model):'),
  )
    .option('--percentage <n>', 'percentage of these devices', integerOption(1, 100))
    .option('--include-unknown', 'also devices whose version is unknown')
    .option('--allow-downgrade', 'also devices on a newer version')
    .option(
      '--stepping-stone <version>',
      'a release on the way for devices below the minimum version; may be repeated (default: as previewed)',
      listOption,
    )
    .optionsGroup('Strategy (default: a slow start, faster while devices succeed):')
    .option(
      '--stages <stages>',
      "'5%,25%:60m,100%': percentages or numbers of devices, each with its soak; 'all': all devices at once",
      parseStages,
    )
    .option(
      '--first-stage-covers <names>',
      'version,facts.board_revision,attributes.site: the first stage has a device with each value of these',
      (text: string) => text.split(',').map((name) => name.trim()),
    )
    .option('--failure-threshold <share>', 'share of failures that halts it (default: 10%)', parseShare)
    .option('--failure-count <n>', 'number of failures that halts it', integerOption(1, 1_000_000))
    .option(
      '--max-restart-ratio <n>',
      'restart rate that halts it, as a multiple of the rate before (default: 2)',
      parseRatio,
    )
    .option(
      '--min-reports <n>',
      'minimum results before the threshold applies (default: 5)',
      integerOption(1, 1_000_000),
    )
    .option('--max-attempts <n>', 'attempts per device (default: 3)', integerOption(1, 20))
    .option(
      '--probation <minutes>',
      'minutes on the new version before an update can be proven (default: 5)',
      integerOption(0, 1440),
    )
    .option('--keep-open', 'include devices that register later; the rollout never completes')
    .optionsGroup('When and how fast:')
    .option('--draft', 'create as draft; start it with rollout change --start')
    .option('--start-at <time>', 'start at this time', timeOption)
    .option('--end-at <time>', 'abort it if it has not ended by this time', timeOption)
    .option('--after <rollout>', 'start once this rollout has completed (id or name)')
    .option(
      '--window <window>',
      "send only during this window: 'mon-fri 22:00-05:00 Europe/Rome' (default time zone: UTC)",
      parseWindow,
    )
    .option(
      '--max-in-flight <n>',
      'maximum number of devices that update at the same time',
      integerOption(1, 1_000_000),
    )
    .option(
      '--max-in-flight-per <attribute=n>',
      'site=2: of the devices with the same site, at most 2 update at the same time',
      parseLimit,
    )
    .option('--max-per-minute <n>', 'maximum number of commands per minute', integerOption(1, 1_000_000))
    .option(
      '--priority <n>',
      'of two rollouts, the one with the higher priority gets a device',
      integerOption(-1000, 1000),
    );

/**
 * The draft that the flags describe.
 * @param before values that neither the file nor the flags name
 * @throws CliError when a file is not JSON, or no model or version is given
 */
export function readDraft(flags: DraftFlags, before: Partial<RolloutDraft> = {}): RolloutDraft {
  const file = { ...before, ...(flags.file === undefined ? {} : readJson(flags.file)) };
  const model = flags.model ?? file.device_model;
  const version = flags.version ?? file.firmware_version;
  if (model === undefined || version === undefined) {
    throw new CliError('a rollout needs --model and --version, or a --file that says them', EXIT.usage);
  }
  return {
    name: `${model} ${version}`,
    ...file,
    ...omitUndefined(flagValues(flags)),
    ...targetOf(flags, file),
  } as RolloutDraft;
}

function flagValues(flags: DraftFlags): Partial<RolloutDraft> {
  return {
    device_model: flags.model,
    firmware_version: flags.version,
    name: flags.name,
    rollout_percentage: flags.percentage,
    stages: flags.stages,
    first_stage_covers: flags.firstStageCovers,
    max_in_flight: flags.maxInFlight,
    max_in_flight_per: flags.maxInFlightPer,
    max_per_minute: flags.maxPerMinute,
    failure_threshold: flags.failureThreshold,
    failure_count: flags.failureCount,
    max_restart_ratio: flags.maxRestartRatio,
    min_reports: flags.minReports,
    max_attempts: flags.maxAttempts,
    probation_minutes: flags.probation,
    start_at: flags.startAt,
    end_at: flags.endAt,
    send_window: flags.window,
    priority: flags.priority,
    keep_open: flags.keepOpen,
    allow_downgrade: flags.allowDowngrade,
    include_unknown: flags.includeUnknown,
    stepping_stones: flags.steppingStone,
    is_active: flags.draft ? false : undefined,
  } as Partial<RolloutDraft>;
}

/** Ids and MAC addresses make the target `specific`, groups make it `group`. Other conditions and exceptions are kept. */
function targetOf(flags: DraftFlags, file: Partial<RolloutDraft>): Partial<RolloutDraft> {
  const { device, mac, group } = flags;
  const added = readFilter(flags);
  if (Object.keys(added).length === 0) return {};
  const type = device || mac ? 'specific' : group ? 'group' : (file.target_type ?? 'all');
  const except = added.except && { except: { ...file.target_filter?.except, ...added.except } };
  return { target_type: type, target_filter: { ...file.target_filter, ...added, ...except } } as Partial<RolloutDraft>;
}

/** Without the keys whose value is undefined. */
const omitUndefined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;

function readJson(file: string): Partial<RolloutDraft> {
  try {
    const value: unknown = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
    throw new Error('expected an object');
  } catch (error) {
    throw new CliError(`--file ${file}: ${(error as Error).message}`, EXIT.usage);
  }
}

const MINUTES: Readonly<Record<string, number>> = { m: 1, h: 60, d: 24 * 60 };

/**
 * Parses `group=lab:person,5%:1d,25%:60m,100%`: for each stage a group, a share or a number of devices, its soak, and
 * whether a person advances it. @throws InvalidArgumentError
 */
export function parseStages(text: string): Stages {
  if (text === 'all') return [];
  return text.split(',').map((part) => {
    const [whole, group, size, percent, soak, unit = 'm', person] =
      /^(?:group=([^:,]+)|(\d+(?:\.\d+)?)(%?))(?::(\d+(?:\.\d+)?)([mhd]))?(:person)?$/.exec(part.trim()) ?? [];
    if (whole === undefined) {
      throw new InvalidArgumentError(
        `"${part.trim()}" is not a valid stage; expected a form like 5%, 25%:60m, 10:1h, group=lab or 5%:1d:person.`,
      );
    }
    const devices = percent === '%' ? { percentage: Number(size) } : { count: Number(size) };
    return {
      ...(group === undefined ? devices : { group }),
      ...(soak === undefined ? {} : { soak_minutes: Number(soak) * (MINUTES[unit] ?? 1) }),
      ...(person === undefined ? {} : { until: UNTIL_ADVANCED }),
    };
  });
}

/** Parses `10%` or `0.1`. @returns 0 to 1 @throws InvalidArgumentError */
export function parseShare(text: string): number {
  const [, digits, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = percent === '%' ? Number(digits) / 100 : Number(digits);
  if (digits !== undefined && share <= 1) return share;
  throw new InvalidArgumentError('Expected a share such as 10% or 0.1.');
}

/** Parses `2` or `1.5`. @throws InvalidArgumentError */
export function parseRatio(text: string): number {
  const ratio = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (ratio >= 1 && ratio <= 1000) return ratio;
  throw new InvalidArgumentError('Expected a number from 1 to 1000, such as 2 or 1.5.');
}

/** Parses `site=2`. @throws InvalidArgumentError */
export function parseLimit(text: string): LimitPer {
  const limit = parseLimitPer(text);
  if (limit !== undefined) return limit;
  throw new InvalidArgumentError('Expected an attribute and a number from 1 to 999999, such as site=2.');
}

type Day = (typeof DAYS)[number];
const WINDOW = /^(?:([a-z,-]+)\s+)?(\d\d:\d\d)-(\d\d:\d\d)(?:\s+(\S+))?$/i;

/** Parses `mon-fri 22:00-05:00 Europe/Rome`; days and time zone are optional. @throws InvalidArgumentError */
export function parseWindow(text: string): SendWindow {
  const [, days, from, to, zone] = WINDOW.exec(text.trim()) ?? [];
  if (from === undefined || to === undefined) {
    throw new InvalidArgumentError('Expected a form like "mon-fri 22:00-05:00 Europe/Rome".');
  }
  return { ...(days && { days: parseDays(days) }), from, to, ...(zone && { time_zone: zone }) };
}

function parseDays(text: string): Day[] {
  return text
    .toLowerCase()
    .split(',')
    .flatMap((part) => {
      const [first = '', last = first, ...more] = part.split('-');
      const [begin, end] = [first, last].map((name) => DAYS.indexOf(name as Day)) as [number, number];
      if (begin === -1 || end === -1 || more.length > 0) {
        throw new InvalidArgumentError(
          `"${part}" is not a valid weekday; expected mon, tue, wed, thu, fri, sat, sun or mon-fri.`,
        );
      }
      return Array.from({ length: ((end - begin + 7) % 7) + 1 }, (_, i) => DAYS[(begin + i) % 7] as Day);
    });
}
