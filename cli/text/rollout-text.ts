import { describeFilter } from '../../api/describe-filter.ts';
import { describePlan } from '../../api/describe-plan.ts';
import type {
  Approval,
  Decision,
  DeviceUpdate,
  Preview,
  Progress,
  Rollout,
  RolloutDraft,
  RolloutSummary,
} from '../../api/rollouts.ts';
import { FAILED_STATES } from '../../core/policy/index.ts';
import { detailText, unprovenText } from './device-text.ts';
import { type StagedRollout, stageLines } from './stage-text.ts';
import { bold, cyan, dim, green, red, yellow } from './style.ts';
import { facts, pad, table } from './table.ts';
import { ago, caller, count, instant, instantAgo, number, withInstants, words } from './units.ts';

const STATE_COLORS: Readonly<Record<Rollout['state'], (text: string) => string>> = {
  draft: dim,
  scheduled: cyan,
  active: cyan,
  halted: red,
  paused: yellow,
  completed: green,
  aborted: red,
};

export const stateText = ({ state }: Pick<RolloutSummary, 'state'>): string => STATE_COLORS[state](state);

export function rolloutTable(rollouts: readonly RolloutSummary[], now: Date): string[] {
  if (rollouts.length === 0) return ['No rollouts. Make one: paku-ota rollout create --model esp32-s3 --version 2.1.0'];
  return table(rollouts, [
    { head: 'ID', value: ({ rollout_id }) => rollout_id, align: 'right' },
    { head: 'NAME', value: ({ name }) => name },
    { head: 'MODEL', value: ({ device_model }) => device_model },
    { head: 'VERSION', value: ({ firmware_version }) => firmware_version },
    { head: 'STATE', value: (rollout) => stateText(rollout) },
    { head: 'ASSIGNED', value: ({ devices }) => devices, align: 'right' },
    { head: 'DONE', value: ({ succeeded }) => succeeded, align: 'right' },
    { head: 'OPEN', value: ({ pending, in_progress }) => pending + in_progress, align: 'right' },
    { head: 'FAILED', value: ({ failed }) => (failed > 0 ? red(number(failed)) : failed), align: 'right' },
    { head: 'CREATED', value: ({ created_at }) => ago(created_at, now) },
    { head: 'REMARKS', value: remarksOf },
  ]);
}

function remarksOf(rollout: RolloutSummary): string {
  const { requested_action: action, paused_reason: reason } = rollout;
  const waits = action === null ? '' : `waits for approval of its ${NOUNS[action]}`;
  return [waits, reason ?? '', ...datesOf(rollout)].filter((part) => part !== '').join('; ');
}

/** When a rollout that has not started starts, and when one that has not ended is aborted. */
function datesOf({ state, start_at: start, after_rollout_id: after, end_at: end }: RolloutSummary): string[] {
  if (state === 'completed' || state === 'aborted') return [];
  const isToStart = state === 'draft' || state === 'scheduled';
  return [
    isToStart && start !== null ? `starts ${instant(start)}` : '',
    isToStart && after !== null ? `starts after rollout #${after}` : '',
    end === null ? '' : `is aborted ${instant(end)}`,
  ];
}

const NOUNS = { start: 'start', resume: 'resumption', retry: 'retry', advance: 'next stage' } as const;

/** Who requested what, when and why, and for how many devices. */
export const approvalText = (approval: Approval, now: Date): string[] => [
  `${caller(approval.requested_by)} requested its ${NOUNS[approval.action]} ${ago(approval.requested_at, now)}, for ${count(approval.devices, 'device')}${approval.reason === null ? '.' : `: ${approval.reason}`}`,
];

/** What a rollout would do: how many devices would be updated, how many would not, and why. */
export function previewText(preview: Preview, draft: Pick<RolloutDraft, 'rollout_percentage'>): string[] {
  const { matching, targeted, will_be_updated: updated, will_not } = preview;
  if (matching === 0) {
    return [
      'No device matches: nothing would be updated. Devices that appear later may match.',
      ...excludedText(preview),
    ];
  }
  const share = draft.rollout_percentage ?? 100;
  const not = matching - updated;
  const isSaved = preview.stages.some((stage) => stage.will_be_updated !== null);
  const would = share === 100 || isSaved ? 'will be updated' : 'would be updated';
  return [
    ...(share === 100
      ? []
      : [
          `${share} % take part: ${number(targeted)} of ${count(matching, 'device')}.${isSaved ? '' : ' Of all of them:'}`,
        ]),
    `${bold(number(updated))} ${would}; ${number(not)} will not${not === 0 ? '.' : ':'}`,
    ...will_not.map(({ reason, devices }) => `${pad(number(devices), 8, 'right')}  ${reason}`),
    ...excludedText(preview),
    ...preview.warnings.map(({ message }) => yellow(`Warning: ${message}`)),
    ...setApartText(preview),
    ...preview.held_by_others.map(heldByOtherText),
    ...preview.held.map(heldText),
    ...steppingStonesText(preview),
    ...stagesPreviewText(preview),
    ...coverageText(preview),
  ];
}

function excludedText({ excluded }: Preview): string[] {
  if (excluded === 0) return [];
  return [`${count(excluded, 'device')} that would match ${excluded === 1 ? 'is' : 'are'} excluded.`];
}

/** The devices of each stage, if more than one has devices. */
function stagesPreviewText({ stages }: Preview): string[] {
  if (stages.filter(({ devices }) => devices > 0).length < 2) return [];
  return stages.map(({ devices, will_be_updated: updated }, index) => {
    const now = updated === null ? '' : `, of which ${number(updated)} will be updated`;
    return `Stage ${index + 1}: ${count(devices, 'device')}${now}.`;
  });
}

function coverageText({ first_stage_covers: names }: Preview): string[] {
  if (names.length === 0) return [];
  const parts = names.map(({ name, values, covered }) => `${number(covered)} of ${count(values, 'value')} of ${name}`);
  return [`The first stage covers ${parts.join(', ')}.`];
}

function steppingStonesText({ stepping_stones, via_stepping_stone: devices }: Preview): string[] {
  if (stepping_stones.length === 0) return [];
  const first = stepping_stones.filter((step) => step.devices > 0);
  const next = first.map((step) => `${number(step.devices)} to ${step.version}`).join(', ');
  const versions = stepping_stones.map(({ version }) => version).join(', ');
  return [`Stepping stones: ${versions}. ${devices === 0 ? 'No device needs one now' : `First go ${next}`}.`];
}

function setApartText({ set_apart: devices }: Preview): string[] {
  if (devices === 0) return [];
  return [
    `${count(devices, 'device')} of those that will failed in the last rollout, which others finished: sent last, and not counted in the gates.`,
  ];
}

function heldByOtherText({ rollout, status, devices }: Preview['held_by_others'][number]): string {
  const what = status === 'pending' ? 'to be updated by rollout' : 'being updated by rollout';
  const then = status === 'pending' ? 'this one takes them over' : 'this one waits for them';
  return `${count(devices, 'device')} of those that will ${devices === 1 ? 'is' : 'are'} ${what} ${JSON.stringify(rollout)}: ${then}.`;
}

function heldText({ reason, devices }: Preview['held'][number]): string {
  return yellow(
    `${count(devices, 'device')} of those that will ${devices === 1 ? 'waits' : 'wait'}: ${withInstants(reason)}.`,
  );
}

/** The plan of a rollout. */
export const planText = (draft: RolloutDraft): string[] => facts(describePlan(draft, instant));

/** One line that says whether a rollout was created or existed. */
export const createdText = (rollout: Rollout, isNew: boolean): string =>
  `${isNew ? green('created') : 'already exists'}  ${bold(rollout.name)}  ${stateText(rollout)}  ${dim(`#${rollout.rollout_id}`)}`;

export function rolloutText(rollout: Rollout, now: Date): string[] {
  const { firmware_version: version, device_model: model, target_filter: filter } = rollout;
  const stopped = rollout.aborted_at ?? rollout.paused_at;
  const share = rollout.rollout_percentage === 100 ? '' : `, ${rollout.rollout_percentage} % of them`;
  return [
    `${bold(rollout.name)}  ${stateText(rollout)}  ${dim(`#${rollout.rollout_id}`)}`,
    ...facts([
      ['stopped', stopped && `${instantAgo(stopped, now)} by ${caller(rollout.paused_by ?? '')}`],
      ['because', stopped && rollout.paused_reason],
      ['now', rollout.waiting_for && withInstants(rollout.waiting_for)],
      ['updates', `${model} to ${version}`],
      ['by way of', rollout.stepping_stones?.join(', ') || null],
      ['devices', `${describeFilter(filter)}${share}`],
      ['so far', countsText(rollout)],
      [
        'created',
        `${instantAgo(rollout.created_at, now)}${rollout.created_by ? ` by ${caller(rollout.created_by)}` : ''}`,
      ],
      ['completed', instantAgo(rollout.completed_at, now)],
      ...describePlan({ ...rollout, is_active: rollout.state !== 'draft' }, instant),
    ]),
  ];
}

/** `6 devices assigned: 4 succeeded, 1 failed, 1 under way`. */
export function countsText(rollout: RolloutSummary): string {
  const { devices, pending, in_progress, succeeded, failed, canceled } = rollout;
  if (devices === 0) return 'no device yet';
  const parts = [
    ...(succeeded > 0 ? [`${number(succeeded)} succeeded`] : []),
    ...(failed > 0 ? [red(`${number(failed)} failed`)] : []),
    ...(canceled > 0 ? [`${number(canceled)} canceled`] : []),
    ...(in_progress > 0 ? [`${number(in_progress)} under way`] : []),
    ...(pending > 0 ? [`${number(pending)} pending`] : []),
  ];
  return `${count(devices, 'device')} assigned: ${parts.join(', ')}`;
}

export function progressText(progress: Progress, rollout: StagedRollout): string[] {
  if (progress.stages.length === 0) return ['No stage has begun.'];
  const { failures } = progress;
  const reasons = failures.map(
    ({ status, reason, devices }) => `${pad(number(devices), 8, 'right')}  ${words(status)}: ${reason}`,
  );
  return [...stageLines(progress, rollout), ...(failures.length === 0 ? [] : ['', 'Failures by reason', ...reasons])];
}

export function historyTable(decisions: readonly Decision[], withRollout: boolean): string[] {
  if (decisions.length === 0) return ['Nothing was decided yet.'];
  return table(decisions, [
    { head: 'AT', value: ({ at }) => instant(at) },
    ...(withRollout ? [{ head: 'ROLLOUT', value: ({ rollout_name }: Decision) => rollout_name }] : []),
    { head: 'EVENT', value: ({ event }) => words(event.replace(/^rollout_/, '')) },
    { head: 'BY', value: ({ decided_by }) => decided_by && caller(decided_by) },
    { head: 'WHY', value: whyDecided },
  ]);
}

/** The reason of a decision, or what it changed. */
export function whyDecided({ reason, detail }: Decision): string {
  const stage = typeof detail.stage === 'number' ? { stage: detail.stage + 1 } : {};
  return reason ?? detailText({ ...detail, ...stage });
}

export function updateTable(updates: readonly DeviceUpdate[], now: Date): string[] {
  if (updates.length === 0) return ['No device updates.'];
  return table(updates, [
    { head: 'DEVICE', value: ({ device_id }) => device_id },
    { head: 'STATE', value: updateState },
    { head: 'STAGE', value: ({ stage }) => stage + 1, align: 'right' },
    { head: 'ATTEMPT', value: ({ attempt }) => attempt, align: 'right' },
    { head: 'RUNS', value: ({ current_firmware_version }) => current_firmware_version },
    { head: 'CHANGED', value: (update) => ago(lastChange(update), now) },
    { head: 'WHY', value: ({ reason }) => reason },
  ]);
}

function updateState({ status, completed_at, booted_at, progress_percent: progress }: DeviceUpdate): string {
  if (status === 'success' && completed_at === null) return unprovenText(booted_at !== null);
  if (status === 'success') return green('success');
  if (FAILED_STATES.some((failed) => failed === status)) return red(words(status));
  return progress === null ? words(status) : `${words(status)} ${progress} %`;
}

export const lastChange = ({ completed_at, booted_at, reported_at, sent_at, created_at }: DeviceUpdate): string =>
  completed_at ?? booted_at ?? reported_at ?? sent_at ?? created_at;
