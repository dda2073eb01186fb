/** The load of a deployment in a month of 730 hours. */
export interface Load {
  readonly devices: number;
  /** Seconds between two statuses of a device. */
  readonly period: number;
  /** Firmware updates of the whole fleet in a month. */
  readonly updates: number;
  readonly imageMiB: number;
  /** Hours for which a rollout keeps the database awake. */
  readonly rolloutHours: number;
  /** True when statuses are published retained. */
  readonly retained: boolean;
  /** True when devices publish to `$aws/rules/…`, which is not metered as messaging and cannot be retained. */
  readonly basicIngest: boolean;
  /** Minutes between two sweeps in idle mode; 0 when idle mode is off. */
  readonly sweepMinutes: number;
}

export interface CostLine {
  readonly service: string;
  /** USD a month. */
  readonly cost: number;
  /** What the figure is made of. */
  readonly of: string;
}

export interface Bill {
  readonly lines: readonly CostLine[];
  readonly total: number;
  /** USD a month that AWS IoT Jobs charges for the same updates, beside connections, messages and downloads. */
  readonly iotJobsFee: number;
}

/** USD, us-east-1, without the free tier, as published in November 2026; docs/cost.md has the sources. */
const PRICES = {
  connectionMinute: 0.08e-6,
  message: [
    [1e9, 1.0e-6],
    [5e9, 0.8e-6],
    [Number.POSITIVE_INFINITY, 0.7e-6],
  ],
  ruleAndAction: 0.3e-6,
  sqsRequest: 0.4e-6,
  lambdaRequest: 0.2e-6,
  lambdaGBSecond: 0.0000133334,
  dataApiRequest: 0.35e-6,
  acuHour: 0.12,
  databaseIo: 0.2e-6,
  s3Get: 0.4e-6,
  egressGB: 0.09,
  httpApiRequest: 1e-6,
  secret: 0.4,
  alarm: 0.1,
  metric: 0.3,
  jobExecution: [
    [250_000, 0.003],
    [Number.POSITIVE_INFINITY, 0.0015],
  ],
} as const;

/** Numbers of this service. test/cli/commands/cost/cost-model.sql.test.ts counts the statements; lib/ has the others. */
export const STATEMENTS_PER_STATUS_BATCH = 2;
export const STATEMENTS_PER_REPORT_BATCH = 7;
const BATCH = 1_000;
const BATCH_WINDOW_SECONDS = 1;
const QUEUES = 4;
/** Resources with a fixed price; test/lib/alarms.system.test.ts counts the alarms. */
export const FIXED = { secrets: 5, alarms: 31, metrics: 10 };
/** Reports of one update: accepted, progress, verifying, installing, result. A device that reports each second sends more. */
const REPORTS_PER_UPDATE = 8;
/** A command and its acknowledgement. */
const MESSAGES_PER_COMMAND = 2;
/** Minutes that the database is awake for each sweep: five for the heartbeats, one for the tick, five until it pauses. */
const AWAKE_MINUTES_PER_SWEEP = 11;

/** The following four are assumed, not measured on AWS. */
const BATCH_GB_SECONDS = 0.25 * 0.25;
const TICK_GB_SECONDS = 0.25 * 0.1;
const ROWS_PER_ACU_SECOND = 4_000;
const ROWS_PER_IO = 10;
/** Long polls of a Lambda event source on an empty queue: five at a time, of 20 s each. */
const POLLS_PER_MONTH = (5 * 730 * 3600) / 20;
/** A tick reads the number of messages of each queue. In idle mode there is no tick. */
const READINGS_PER_HOUR = 60;

const HOURS = 730;
const SECONDS = HOURS * 3600;
/** The largest fleet for which idle mode is used. */
const MAX_IDLE_DEVICES = 5_000;

/** Projects a month's bill from list prices. */
export function projectCost(load: Load): Bill {
  const { devices, period, updates, imageMiB } = load;
  const statuses = (devices * SECONDS) / period;
  const updated = devices * updates;
  const reports = updated * REPORTS_PER_UPDATE;
  const batches = invocations(statuses) + invocations(reports);
  const metered =
    updated * MESSAGES_PER_COMMAND + (load.basicIngest ? 0 : reports + statuses * (load.retained ? 2 : 1));
  const statements =
    invocations(statuses) * STATEMENTS_PER_STATUS_BATCH +
    invocations(reports) * STATEMENTS_PER_REPORT_BATCH +
    updated * 3;
  const awake = awakeHours(load);
  const acu = Math.max(0.5, (statuses + reports) / SECONDS / ROWS_PER_ACU_SECOND);
  const egress = (updated * imageMiB * 1.048576) / 1000;
  const lines: CostLine[] = [
    line('IoT Core: connections', devices * HOURS * 60 * PRICES.connectionMinute, `${rounded(devices)} all the time`),
    line('IoT Core: messages', tiered(metered, PRICES.message), `${millions(metered)} metered`),
    line(
      'IoT Core: rules',
      (statuses + reports) * PRICES.ruleAndAction,
      `${millions(statuses + reports)}, one action each`,
    ),
    line(
      'SQS',
      (statuses * 1.2 + reports * 1.2 + updated * 1.3 + QUEUES * (POLLS_PER_MONTH + READINGS_PER_HOUR * awake)) *
        PRICES.sqsRequest,
      'sent one by one, received and deleted in tens, polled while empty, and counted by each tick',
    ),
    line(
      'Lambda',
      batches * (PRICES.lambdaRequest + BATCH_GB_SECONDS * PRICES.lambdaGBSecond) +
        (SECONDS / 60) * (PRICES.lambdaRequest + TICK_GB_SECONDS * PRICES.lambdaGBSecond) +
        updated * 2 * (PRICES.lambdaRequest + BATCH_GB_SECONDS * PRICES.lambdaGBSecond),
      `${millions(batches)} batches`,
    ),
    line('Data API', statements * (awake / HOURS) * PRICES.dataApiRequest, 'statements while the database is awake'),
    line(
      'Aurora',
      acu * awake * PRICES.acuHour + ((statuses * (awake / HOURS) + reports) / ROWS_PER_IO) * PRICES.databaseIo,
      `${acu.toFixed(1)} capacity units, awake for ${Math.round(awake)} of ${HOURS} h`,
    ),
    line(
      'Downloads',
      updated * (PRICES.httpApiRequest + PRICES.s3Get) + egress * PRICES.egressGB,
      `${egress.toFixed(1)} GB out of S3`,
    ),
    line(
      'Secrets, alarms, metrics',
      FIXED.secrets * PRICES.secret + FIXED.alarms * PRICES.alarm + FIXED.metrics * PRICES.metric,
      `${FIXED.secrets} secrets, ${FIXED.alarms} alarms, ${FIXED.metrics} metrics; logs are not in it`,
    ),
  ];
  const total = lines.reduce((sum, { cost }) => sum + cost, 0);
  return { lines, total, iotJobsFee: tiered(updated, PRICES.jobExecution) };
}

const line = (service: string, cost: number, of: string): CostLine => ({ service, cost, of });

/** Invocations in a month: each collects messages for a second, up to a batch. */
function invocations(messages: number): number {
  const perSecond = messages / SECONDS;
  const inBatches = perSecond / Math.min(BATCH, Math.max(1, perSecond * BATCH_WINDOW_SECONDS + 1));
  return inBatches * SECONDS;
}

function awakeHours({ devices, updates, rolloutHours, sweepMinutes }: Load): number {
  if (sweepMinutes === 0 || devices > MAX_IDLE_DEVICES) return HOURS;
  const rollouts = Math.min(HOURS, updates * rolloutHours);
  const awakeShare = Math.min(1, AWAKE_MINUTES_PER_SWEEP / (sweepMinutes + AWAKE_MINUTES_PER_SWEEP - 5));
  return rollouts + (HOURS - rollouts) * awakeShare;
}

function tiered(amount: number, tiers: readonly (readonly [upTo: number, price: number])[]): number {
  let cost = 0;
  let from = 0;
  for (const [upTo, price] of tiers) {
    cost += Math.max(0, Math.min(amount, upTo) - from) * price;
    from = upTo;
  }
  return cost;
}

const rounded = (value: number) => Math.round(value).toLocaleString('en');
const millions = (value: number) => (value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : rounded(value));
