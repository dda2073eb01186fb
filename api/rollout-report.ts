import type { ApiClient } from './client.ts';
import { describeFilter } from './describe-filter.ts';
import type { VersionHealth } from './releases.ts';
import type { Decision, Preview, Progress, Rollout, RolloutHealth } from './rollouts.ts';

/** All that is known of a rollout at one time, for people who read it later. */
export interface RolloutReport {
  /** When it was made, ISO 8601. */
  readonly at: string;
  readonly rollout: Rollout;
  readonly progress: Progress;
  /** Oldest first. */
  readonly decisions: readonly Decision[];
  /**
   * Devices that it would update now, and those that it targets and does not update, by reason. Null if it has ended:
   * the reasons of today say nothing about its end.
   */
  readonly remaining: Pick<Preview, 'will_be_updated' | 'will_not'> | null;
  /** Null before a device was assigned. */
  readonly health: RolloutHealth | null;
}

/** A table of a report. Cells are plain text; columns with numbers are aligned to the right. */
export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** Stands in place of the table when it has no rows. */
  readonly none: string;
}

/** The text of a report: a title, sentences, and tables. */
export interface ReportText {
  readonly title: string;
  readonly sentences: readonly string[];
  readonly tables: readonly ReportTable[];
}

/** Reads the report of a rollout. */
export async function readReport(client: ApiClient, named: string | number, now: Date): Promise<RolloutReport> {
  const rollout = await client.rollout(named);
  const { rollout_id: id } = rollout;
  const hasEnded = rollout.completed_at !== null || rollout.aborted_at !== null;
  const [progress, { items }, remaining, health] = await Promise.all([
    client.progress(id),
    client.decisions(id),
    hasEnded
      ? null
      : client.previewOf(rollout).then(({ will_be_updated, will_not }) => ({ will_be_updated, will_not })),
    rollout.devices > 0 ? client.rolloutHealth(id) : null,
  ]);
  const decisions = items.toSorted((a, b) => a.event_id - b.event_id);
  return { at: now.toISOString(), rollout, progress, decisions, remaining, health };
}

/** The report for people. */
export function reportText(report: RolloutReport): ReportText {
  const { rollout, progress, decisions, remaining, health, at } = report;
  return {
    title: `Rollout "${rollout.name}": ${rollout.state}`,
    sentences: [
      `${rollout.firmware_version} for ${describeFilter(rollout.target_filter)}, model ${rollout.device_model}. Created ${rollout.created_at} by ${rollout.created_by ?? 'SQL'}.`,
      ...(rollout.paused_reason === null ? [] : [`Stopped ${rollout.paused_at}: ${rollout.paused_reason}`]),
      `As of ${at}.`,
    ],
    tables: [
      funnelTable(progress),
      ...(remaining === null ? [] : [remainingTable(remaining, at)]),
      failureTable(progress),
      healthTable(health, at),
      timeLine(decisions),
    ],
  };
}

const STEPS: Readonly<Record<keyof Progress['funnel'], string>> = {
  assigned: 'assigned',
  sent: 'command sent',
  answered: 'opened the link or reported',
  installed: 'wrote the image',
  booted: 'reported the new version',
  succeeded: 'reported it after the probation',
};

function funnelTable({ funnel }: Progress): ReportTable {
  const share = (devices: number) => (funnel.assigned === 0 ? '' : `${Math.round((devices / funnel.assigned) * 100)}%`);
  const rows = Object.entries(STEPS).map(([step, text]) => {
    const devices = funnel[step as keyof typeof funnel];
    return [text, devices, share(devices)];
  });
  return { title: 'Devices', head: ['step', 'devices', 'of assigned'], rows, none: '' };
}

function remainingTable(
  { will_be_updated: eligible, will_not: others }: NonNullable<RolloutReport['remaining']>,
  at: string,
): ReportTable {
  const rows = [
    ...(eligible > 0 ? [['may still be updated', eligible]] : []),
    ...others.map(({ reason, devices }) => [reason, devices]),
  ];
  return {
    title: `Targeted, and not to be updated as of ${at}`,
    head: ['reason', 'devices'],
    rows,
    none: 'No device.',
  };
}

const CAUSE_TEXTS: Readonly<Record<NonNullable<Progress['failures'][number]['cause']>, string>> = {
  build: 'the build',
  silence: 'went silent after the update',
  delivery: 'delivery: the network, or the link',
  declined: 'declined by the device',
  not_reached: 'not reached',
};

function failureTable({ failures }: Progress): ReportTable {
  const rows = failures.map(({ cause, status, reason, devices }) => [
    cause === null ? 'not known' : CAUSE_TEXTS[cause],
    status.replaceAll('_', ' '),
    reason,
    devices,
  ]);
  return { title: 'Failures by cause', head: ['cause', 'outcome', 'reason', 'devices'], rows, none: 'None.' };
}

/** A rate of less exposure says nothing. */
const FEWEST_HOURS = 1;

function healthTable(health: RolloutHealth | null, at: string): ReportTable {
  const row = (
    name: string,
    { devices, device_hours, restarts_per_device_hour: rate, silent, heard_of }: VersionHealth,
  ) => [
    name,
    devices,
    Number(device_hours.toFixed(1)),
    rate === null || device_hours < FEWEST_HOURS ? 'too little exposure' : Number(rate.toPrecision(2)),
    `${silent} of ${heard_of}`,
  ];
  const rows =
    health === null
      ? []
      : [
          row(health.version.firmware_version, health.version),
          ...(health.before === null ? [] : [row(`${health.before.firmware_version} (before)`, health.before)]),
        ];
  const head = ['version', 'devices', 'device-hours', 'restarts an hour', 'silent'];
  return { title: `Health against the version before, as of ${at}`, head, rows, none: 'No device has run it.' };
}

function timeLine(decisions: readonly Decision[]): ReportTable {
  const rows = decisions.map(({ at, event, decided_by: by, reason, detail }) => [
    at,
    event.replace(/^rollout_/, '').replaceAll('_', ' '),
    by ?? '',
    reason ?? detailText(detail),
  ]);
  return { title: 'Time line', head: ['at', 'event', 'by', 'why'], rows, none: 'Nothing was decided.' };
}

const detailText = ({ stage, ...detail }: Decision['detail']) =>
  Object.entries(typeof stage === 'number' ? { stage: stage + 1, ...detail } : detail)
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');

/** The report as Markdown. Text of devices and people is escaped, so that it is shown as it was written. */
export function reportMarkdown({ title, sentences, tables }: ReportText): string {
  const parts = tables.map(({ title: heading, head, rows, none }) => {
    const rule = `| ${head.map(() => '---').join(' | ')} |`;
    const body = rows.length === 0 ? none : [line(head), rule, ...rows.map(line)].join('\n');
    return `## ${heading}\n\n${body}`;
  });
  return `${[`# ${escaped(title)}`, sentences.map(escaped).join('  \n'), ...parts].join('\n\n')}\n`;
}

const line = (cells: readonly (string | number)[]) => `| ${cells.map((cell) => escaped(String(cell))).join(' | ')} |`;

/** Characters that Markdown or HTML would read as something else, and line ends. */
const escaped = (text: string) => text.replace(/[\\`*_[\]<>|#~&]/g, '\\$&').replace(/\s+/g, ' ');
