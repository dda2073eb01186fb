import type { Command } from 'commander';
import type { Rollout, RolloutAction, RolloutChange } from '../../../api/rollouts.ts';
import { ROLLOUT_ACTIONS } from '../../../core/policy/index.ts';
import type { Session } from '../../session/index.ts';
import {
  addCommand,
  addGroup,
  addPaging,
  CliError,
  confirmOrStop,
  EXIT,
  integerOption,
  noteMore,
  type PagingOptions,
  readPages,
  registerAction,
} from '../../session/index.ts';
import {
  count,
  historyTable,
  previewText,
  printable,
  progressText,
  rolloutHealthText,
  rolloutTable,
  rolloutText,
  updateTable,
} from '../../text/index.ts';
import { addApproval, approvalHint } from './approve-rollout.ts';
import { addCreate, addEdit, addPreview } from './create-rollout.ts';
import { parseLimit, parseRatio, parseShare, parseWindow } from './draft-flags.ts';
import { addRecover } from './recover-rollout.ts';
import { addReport } from './report-rollout.ts';
import { addWatch } from './watch-rollout.ts';

export function addRolloutCommands(program: Command): void {
  const group = addGroup(program, 'rollout', 'rollouts: preview, make, watch, control');
  addPreview(group);
  addCreate(group);
  addList(group);
  addShow(group);
  addProgress(group);
  addDevices(group);
  addHealth(group);
  addHistory(group);
  addReport(group);
  addWatch(group);
  addChange(group);
  addEdit(group);
  addRecover(group);
  addApproval(group);
  for (const action of ROLLOUT_ACTIONS) addAction(group, action);
}

function addList(group: Command): void {
  const command = addCommand(group, 'list', 'rollouts, the newest first', ['paku-ota rollout list --state active'])
    .option('--state <state>', 'draft, scheduled, active, halted, paused, completed or aborted')
    .option('--model <model>', 'of this device model');
  registerAction<PagingOptions & { state?: string; model?: string }, []>(
    addPaging(command),
    async (session, options) => {
      const { state, model } = options;
      const page = await readPages(options, (query) => session.api.rollouts({ ...query, state, model }));
      session.show(page, ({ items }) => rolloutTable(items, new Date()));
      noteMore(session, page);
    },
  );
}

const oneRollout = (group: Command, name: string, summary: string, ...examples: string[]) =>
  addCommand(group, name, summary, examples).argument('<rollout>', 'id or name');

function addShow(group: Command): void {
  const command = oneRollout(group, 'show', 'one rollout with its progress', 'paku-ota rollout show "vans to 2.1"');
  registerAction<object, [string]>(command, async (session, _, name) => {
    const rollout = await session.api.rollout(name);
    session.show(rollout, (shown) => rolloutText(shown, new Date()));
    if (session.json) return;
    const progress = printable(await session.api.progress(rollout.rollout_id));
    console.log(`\n${progressText(progress, rollout).join('\n')}`);
    if (rollout.devices === 0) return;
    const health = printable(await session.api.rolloutHealth(rollout.rollout_id));
    console.log(`\n${rolloutHealthText(health).join('\n')}`);
  });
}

function addProgress(group: Command): void {
  const command = oneRollout(group, 'progress', 'by stage, state and reason', 'paku-ota rollout progress 7 --json');
  registerAction<object, [string]>(command, async (session, _, name) => {
    const [progress, rollout] = await Promise.all([session.api.progress(name), session.api.rollout(name)]);
    session.show(progress, (shown) => progressText(shown, rollout));
  });
}

function addDevices(group: Command): void {
  const command = oneRollout(
    group,
    'devices',
    'what the devices of a rollout do, the newest first',
    'paku-ota rollout devices "vans to 2.1" --status failed',
    'paku-ota rollout devices 7 --open',
  )
    .option('--status <status>', 'pending, sent, downloading, …, failed, rolled_back, timed_out or canceled')
    .option('--open', 'open updates only');
  registerAction<PagingOptions & { status?: string; open?: boolean }, [string]>(
    addPaging(command),
    async (session, options, name) => {
      const { status, open } = options;
      const page = await readPages(options, (query) => session.api.updates(name, { ...query, status, open }));
      session.show(page, ({ items }) => updateTable(items, new Date()));
      noteMore(session, page);
    },
  );
}

function addHealth(group: Command): void {
  const command = oneRollout(
    group,
    'health',
    'restarts and silence on its release, beside the version before',
    'paku-ota rollout health "vans to 2.1"',
  );
  registerAction<object, [string]>(command, async (session, _, name) => {
    session.show(await session.api.rolloutHealth(name), rolloutHealthText);
  });
}

function addHistory(group: Command): void {
  const command = oneRollout(
    group,
    'history',
    'every decision with its time, reason and author',
    'paku-ota rollout history 7',
  );
  registerAction<object, [string]>(command, async (session, _, name) => {
    session.show(await session.api.decisions(name), ({ items }) => historyTable(items, false));
  });
}

/** The value that removes a limit. Commander treats null as "no value", so the flags use a text. */
const NONE = 'none';
type None = typeof NONE;

interface ChangeFlags {
  readonly start?: true;
  readonly yes?: true;
  readonly failureThreshold?: number;
  readonly failureCount?: number | None;
  readonly maxRestartRatio?: number | None;
  readonly minReports?: number;
  readonly maxInFlight?: number | None;
  readonly maxInFlightPer?: NonNullable<RolloutChange['max_in_flight_per']> | None;
  readonly maxPerMinute?: number | None;
  readonly window?: NonNullable<RolloutChange['send_window']> | None;
  readonly keepOpen?: boolean;
}

const parseOrNone =
  <T>(parse: (text: string) => T) =>
  (text: string): T | None =>
    text === NONE ? NONE : parse(text);

function addChange(group: Command): void {
  const limit = parseOrNone(integerOption(1, 1_000_000));
  const command = oneRollout(
    group,
    'change',
    'start a draft, or change limits while a rollout runs',
    'paku-ota rollout change "vans to 2.1" --start',
    'paku-ota rollout change 7 --max-in-flight 200 --window none',
  )
    .option('--start', 'start a draft')
    .option('--max-in-flight <n>', 'maximum number of devices that update at the same time, or none', limit)
    .option(
      '--max-in-flight-per <attribute=n>',
      'site=2: of the devices with the same site, at most 2 update at the same time; or none',
      parseOrNone(parseLimit),
    )
    .option('--max-per-minute <n>', 'maximum number of commands per minute, or none', limit)
    .option('--failure-threshold <share>', 'share of failures that halts it, such as 10%', parseShare)
    .option('--failure-count <n>', 'number of failures that halts it, or none', limit)
    .option(
      '--max-restart-ratio <n>',
      'restart rate that halts it, as a multiple of the rate before, or none',
      parseOrNone(parseRatio),
    )
    .option('--min-reports <n>', 'minimum results before the threshold applies', integerOption(1, 1_000_000))
    .option(
      '--window <window>',
      "send only during this window: 'mon-fri 22:00-05:00 Europe/Rome', or none",
      parseOrNone(parseWindow),
    )
    .option('--keep-open', 'include devices that register later')
    .option('--no-keep-open', 'complete when all devices have finished')
    .option('--yes', 'do not ask before --start');
  registerAction<ChangeFlags, [string]>(command, async (session, flags, name) => {
    const change = readChange(flags);
    if (Object.keys(change).length === 0) throw new CliError('name a setting to change: see --help', EXIT.usage);
    const before = await session.api.rollout(name);
    if (flags.start) await askToStart(session, before, flags.yes === true);
    session.show(await session.api.changeRollout(name, before.updated_at, change), (rollout) => [
      ...rolloutText(rollout, new Date()),
      ...approvalHint(rollout),
    ]);
  });
}

async function askToStart(session: Session, draft: Rollout, isYes: boolean): Promise<void> {
  session.note(previewText(printable(await session.api.previewOf(draft)), draft).join('\n'));
  const verb = draft.needs_approval.includes('start') ? 'Request the start of' : 'Start';
  await confirmOrStop(`${verb} "${draft.name}" on ${session.target.name}?`, isYes);
  session.note('');
}

function readChange(flags: ChangeFlags): RolloutChange {
  const values = {
    is_active: flags.start,
    failure_threshold: flags.failureThreshold,
    failure_count: flags.failureCount,
    max_restart_ratio: flags.maxRestartRatio,
    min_reports: flags.minReports,
    max_in_flight: flags.maxInFlight,
    max_in_flight_per: flags.maxInFlightPer,
    max_per_minute: flags.maxPerMinute,
    send_window: flags.window,
    keep_open: flags.keepOpen,
  };
  const changed = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(changed.map(([key, value]) => [key, value === NONE ? null : value]));
}

interface Control {
  readonly summary: string;
  /** The question before the action; null when nothing is sent and nothing is lost. */
  readonly question: ((rollout: Rollout) => string) | null;
}

const CONTROLS: Readonly<Record<RolloutAction, Control>> = {
  pause: { summary: 'stop sending at once and cancel updates that were not fetched', question: null },
  resume: {
    summary:
      'resume a halted or paused rollout: its stage is repeated with new devices, earlier failures no longer count',
    question: ({ firmware_version: version, resume_devices: devices }) =>
      `${version} is sent to ${devices === null ? 'its first devices' : `at most ${count(devices, 'device')}`} before the gates decide again; earlier failures no longer count.`,
  },
  abort: { summary: 'stop a rollout for good', question: () => 'It cannot be resumed.' },
  advance: {
    summary: 'begin the next stage now, regardless of the gate',
    question: () => 'The next stage begins now, regardless of the gate.',
  },
  retry: {
    summary: 'try the devices again that failed',
    question: () => 'Devices that failed get the release again, with all their attempts.',
  },
};

const mustBeApproved = ({ needs_approval: actions }: Rollout, action: RolloutAction): boolean =>
  actions.some((needing) => needing === action);

function addAction(group: Command, action: RolloutAction): void {
  const { summary, question } = CONTROLS[action];
  const example = `paku-ota rollout ${action} "vans to 2.1" --reason "…"`;
  const command = oneRollout(group, action, summary, example).requiredOption('--reason <text>', 'kept in the history');
  if (question !== null) command.option('--yes', 'do not ask');
  registerAction<{ reason: string; yes?: boolean }, [string]>(
    command,
    async (session, { reason, yes = false }, name) => {
      const rollout = await session.api.rollout(name);
      const verb = action.charAt(0).toUpperCase() + action.slice(1);
      if (question !== null)
        await confirmOrStop(
          `${verb} "${rollout.name}" on ${session.target.name}? ${question(rollout)}${mustBeApproved(rollout, action) ? ' A second person must approve it first.' : ''}`,
          yes,
        );
      session.show(await session.api.act(rollout.rollout_id, action, reason), (now) => [
        ...rolloutText(now, new Date()),
        ...approvalHint(now),
      ]);
    },
  );
}
