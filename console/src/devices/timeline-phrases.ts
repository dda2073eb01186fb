import type { TimelineEntry } from '../../../api/devices.ts';
import { caller, words } from '../text/format.ts';
import { type Tone, UPDATE_LABELS, type UpdateState } from '../text/labels.ts';

/** One line of a timeline: an entry, or several consecutive progress messages. */
export interface TimelineLine {
  readonly key: string;
  readonly at: string;
  readonly tone: Tone;
  readonly text: string;
  readonly note: string;
  /** The rollout, in the line where its update begins. */
  readonly rollout: number | null;
  readonly attempt: number | null;
}

/**
 * The lines of a timeline, the newest first. Consecutive progress messages are one line. The end of an attempt that also
 * ended the update is left out, because the end of the update says the same.
 */
export function linesOf(entries: readonly TimelineEntry[]): TimelineLine[] {
  const ends = new Set(entries.filter(({ event }) => event === 'ended').map(attemptOf));
  const runs: TimelineEntry[][] = [];
  for (const entry of entries) {
    if (entry.event === 'attempt_ended' && ends.has(attemptOf(entry))) continue;
    const run = runs.at(-1);
    const [first] = run ?? [];
    const joins = entry.event === 'progress' && first?.event === 'progress' && first.update_id === entry.update_id;
    if (joins) run?.push(entry);
    else runs.push([entry]);
  }
  return runs.flatMap((run, index) => toLine(run, runs.length - index));
}

const attemptOf = ({ update_id: update, attempt }: TimelineEntry) => `${update} ${attempt}`;

function toLine(run: readonly TimelineEntry[], fromTheEnd: number): TimelineLine[] {
  const [newest] = run;
  if (newest === undefined) return [];
  const { at, event, rollout_id, attempt, update_id: update } = newest;
  const rollout = event === 'assigned' ? rollout_id : null;
  const { tone, text, note = '' } = event === 'progress' ? describeProgress(run) : describe(newest);
  return [{ key: `${at} ${event} ${update} ${attempt} ${fromTheEnd}`, at, tone, text, note, rollout, attempt }];
}

interface Phrase {
  readonly tone: Tone;
  readonly text: string;
  readonly note?: string;
}

const textOf = (value: unknown) => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');

function describeProgress(run: readonly TimelineEntry[]): Phrase {
  const percents = run.map(({ detail }) => detail.percent).filter((value) => typeof value === 'number');
  const newest = textOf(run[0]?.detail.state).toLowerCase() || 'working';
  const note = run.length === 1 ? '' : `${run.length} messages`;
  if (newest === 'failed' || newest === 'rolled back') return { tone: 'bad', text: `reports ${newest}`, note };
  const [last, first] = [percents[0], percents.at(-1)];
  const range = last === undefined ? '' : first === last ? ` ${last}%` : ` ${first} to ${last}%`;
  return { tone: 'busy', text: `${newest}${range}`, note };
}

/** What became of a command, by `outcome` of its entry. */
const SEND_OUTCOMES: Readonly<Record<string, string>> = {
  acknowledged: 'delivered',
  unconfirmed: 'not acknowledged: it may be asleep',
  published: 'published: AWS IoT does not say whether the device received it',
  refused: 'refused by AWS IoT',
};

function describe({ event, detail, firmware_version: version }: TimelineEntry): Phrase {
  const reason = textOf(detail.reason);
  switch (event) {
    case 'assigned':
      return { tone: 'idle', text: `assigned ${version}`, note: detail.isSteppingStone ? 'a stepping stone' : '' };
    case 'began_by_itself':
      return { tone: 'idle', text: `the device started ${version ?? 'an update'} by itself` };
    case 'sent':
      return { tone: 'busy', text: `command sent for ${version}`, note: SEND_OUTCOMES[textOf(detail.outcome)] ?? '' };
    case 'accepted':
      return { tone: 'busy', text: 'accepted the command' };
    case 'fetch':
      return { tone: 'busy', text: 'fetching the image' };
    case 'result':
      return describeResult(detail);
    case 'status':
      return { tone: 'idle', text: `reports ${textOf(detail.version) || 'its status'}` };
    case 'attempt_ended':
      return { tone: toneOf(detail.status), text: `attempt ended: ${words(textOf(detail.status))}`, note: reason };
    case 'ended':
      return {
        tone: toneOf(detail.status),
        text: `update to ${version} ended: ${words(textOf(detail.status))}`,
        note: reason,
      };
    case 'late_success':
      return { tone: 'ok', text: `runs ${version} after all`, note: 'a late success' };
    case 'late_rollback':
      return { tone: 'bad', text: `left ${version} after it was proven`, note: 'a late rollback' };
    case 'unverified_bytes':
      return { tone: 'bad', text: `runs ${version}, whose verification had failed`, note: 'unverified bytes' };
    case 'declined':
      return { tone: 'warn', text: 'declined the command', note: reason };
    case 'joined_group':
    case 'left_group':
      return { tone: 'idle', text: `${words(event)} ${textOf(detail.group)}`, note: `by ${caller(textOf(detail.by))}` };
    case 'attributes_set':
      return { tone: 'idle', text: 'attributes set', note: `by ${caller(textOf(detail.by))}` };
    case 'device_revoked':
      return { tone: 'bad', text: `revoked by ${caller(textOf(detail.by))}`, note: reason };
    case 'device_reinstated':
      return { tone: 'ok', text: `reinstated by ${caller(textOf(detail.by))}`, note: reason };
    case 'device_held':
      return { tone: 'warn', text: `${heldText(detail)} held by ${caller(textOf(detail.by))}`, note: reason };
    case 'device_hold_ended':
      return { tone: 'ok', text: `${heldText(detail)} no longer held, by ${caller(textOf(detail.by))}`, note: reason };
    case 'certificates_revoked':
      return { tone: 'warn', text: 'began to use another certificate', note: 'its older ones were revoked' };
    case 'identity_accepted':
      return {
        tone: 'ok',
        text: `${[detail.model, detail.mac].filter((each) => each !== undefined).join(' and ')} accepted by ${caller(textOf(detail.by))}`,
        note: reason,
      };
    case 'model_changed':
      return { tone: 'warn', text: `reports the model ${textOf(detail.to)}`, note: `before: ${textOf(detail.from)}` };
    case 'mac_changed':
      return {
        tone: 'warn',
        text: `reports the MAC address ${textOf(detail.to)}`,
        note: `before: ${textOf(detail.from)}`,
      };
    case 'mac_shared':
      return {
        tone: 'warn',
        text: `reports the MAC address of ${[detail.with].flat().join(', ')}`,
        note: textOf(detail.mac),
      };
    default:
      return { tone: 'idle', text: words(event) };
  }
}

const heldText = ({ group }: TimelineEntry['detail']) =>
  group === undefined ? 'it is' : `its group ${textOf(group)} is`;

function describeResult({ success, result, message }: TimelineEntry['detail']): Phrase {
  if (success === true) return { tone: 'busy', text: 'image written, rebooting' };
  return { tone: 'bad', text: `failed: ${textOf(result) || 'no result code'}`, note: textOf(message) };
}

const toneOf = (status: unknown): Tone => UPDATE_LABELS[status as UpdateState]?.tone ?? 'idle';
