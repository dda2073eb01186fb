import type { RolloutDraft } from './rollouts.ts';

/** A time in ISO 8601 as its reader sees it. */
type Time = (iso: string) => string;

const number = (value: number) => value.toLocaleString('en-US');
const count = (value: number, noun: string) => `${number(value)} ${noun}${value === 1 ? '' : 's'}`;

/**
 * The plan of a rollout: the name of each part, and the part as a phrase. Parts that limit nothing are left out.
 * @param time writes a time in ISO 8601 for the reader
 */
export function describePlan(draft: RolloutDraft, time: Time): (readonly [string, string])[] {
  return listParts(draft, time).filter((part): part is readonly [string, string] => part[1] !== null && part[1] !== '');
}

function listParts(draft: RolloutDraft, time: Time): (readonly [string, string | null])[] {
  const {
    stages,
    send_window: window,
    end_at,
    max_in_flight,
    max_in_flight_per: per,
    first_stage_covers: covers,
    max_per_minute,
    failure_count,
  } = draft;
  const threshold = Math.round((draft.failure_threshold ?? 0.1) * 1000) / 10;
  const limits = [
    max_in_flight ? `${number(max_in_flight)} at once` : '',
    per ? `${number(per.max)} at once for each ${per.attribute}` : '',
    max_per_minute ? `${number(max_per_minute)} a minute` : '',
  ].filter((part) => part !== '');
  return [
    ['stages', stagesText(stages ?? null)],
    ['first stage', covers ? `a device with each value of ${covers.join(', ')}` : null],
    ['at most', limits.join(', ')],
    ['halts', `above ${threshold} % failures${failure_count ? `, or at ${count(failure_count, 'failure')}` : ''}`],
    ['starts', startText(draft, time)],
    ['ends', end_at ? `${time(end_at)}: aborted if it is not done by then` : null],
    [
      'sends',
      window ? `${window.days?.join(',') ?? 'daily'} ${window.from}–${window.to} ${window.time_zone ?? 'UTC'}` : null,
    ],
    ['gives up', givingUpText(draft)],
    ['probation', probationText(draft)],
    ['jitter', draft.jitter_minutes ? `commands spread over ${count(draft.jitter_minutes, 'minute')}` : null],
    ['priority', draft.priority ? String(draft.priority) : null],
    ['also', alsoText(draft)],
  ];
}

function startText(
  { is_active: isActive, start_at: at, after_rollout_id: after }: RolloutDraft,
  time: Time,
): string | null {
  const times = [at ? time(at) : '', after ? `after rollout #${after} has completed` : ''].filter(
    (part) => part !== '',
  );
  const when = times.join(', ');
  if (isActive === false) return `not yet: a draft${when === '' ? '' : `; once it is started, ${when}`}`;
  return when === '' ? null : when;
}

function givingUpText({ give_up_days: days = 30, max_attempts: attempts = 3 }: RolloutDraft): string {
  return `a device after ${count(attempts, 'attempt')}, or after ${count(days, 'day')} out of reach`;
}

function probationText(draft: RolloutDraft): string {
  const {
    probation_minutes: probation = 5,
    attempt_timeout_minutes: attempt = 15,
    boot_timeout_minutes: boot = 15,
  } = draft;
  return `${count(probation, 'minute')}; an attempt may take ${count(attempt, 'minute')}, the restart ${count(boot, 'minute')}`;
}

/** The settings that are off unless somebody sets them. */
function alsoText({ keep_open, allow_downgrade, include_unknown }: RolloutDraft): string {
  return [
    keep_open ? 'takes in devices that join later' : '',
    allow_downgrade ? 'may go to an older version' : '',
    include_unknown ? 'includes devices whose version is not known' : '',
  ]
    .filter((part) => part !== '')
    .join(', ');
}

function stagesText(stages: RolloutDraft['stages'] | null): string {
  if (!stages) return 'slowly at first, faster while devices succeed';
  if (stages.length === 0) return 'everyone at once';
  const parts = stages.map(({ percentage, count: devices, group, soak_minutes: soak, until }) => {
    const some = percentage === undefined ? count(devices ?? 0, 'device') : `${percentage} %`;
    const reach = group === undefined ? some : `group ${group}`;
    const gate = [...(soak ? [`soaks ${soak} min`] : []), ...(until === undefined ? [] : [`until ${until}`])];
    return gate.length === 0 ? reach : `${reach} (${gate.join(', ')})`;
  });
  const isWhole = stages.at(-1)?.percentage === 100;
  return [...parts, ...(isWhole ? [] : ['everyone'])].join(', then ');
}
