import type { DeadLetterQueue, Fleet, RejectedMessage, Tick } from '../../api/service.ts';
import { rolloutTable } from './rollout-text.ts';
import { bold, dim, green, yellow } from './style.ts';
import { table } from './table.ts';
import { ago, bytes, count, number } from './units.ts';

export function tickText({ ran, rollouts, failed }: Tick): string[] {
  if (!ran) return ['Another tick is at work; it looks at the same rollouts.'];
  const problems = failed.map((id) => yellow(`Rollout ${id} failed: the log of the operator API says why.`));
  if (rollouts.length === 0 && problems.length === 0) return ['The orchestrator looked: no rollout is active.'];
  return [...problems, ...(rollouts.length === 0 ? [] : drivenTable(rollouts))];
}

function drivenTable(rollouts: Tick['rollouts']): string[] {
  return table(rollouts, [
    { head: 'ROLLOUT', value: ({ rollout }) => rollout },
    { head: 'STATE', value: ({ state }) => state },
    { head: 'ASSIGNED', value: ({ assigned }) => assigned, align: 'right' },
    { head: 'PENDING', value: ({ pending }) => pending, align: 'right' },
  ]);
}

export function deadLetterTable(queues: readonly DeadLetterQueue[]): string[] {
  return table(queues, [
    { head: 'QUEUE', value: ({ queue }) => queue },
    { head: 'MESSAGES', value: ({ messages }) => (messages > 0 ? yellow(number(messages)) : messages), align: 'right' },
  ]);
}

export function rejectedMessageTable(messages: readonly RejectedMessage[], now: Date): string[] {
  if (messages.length === 0) return ['No message was rejected.'];
  return table(messages, [
    { head: 'RECEIVED', value: ({ received_at }) => ago(received_at, now) },
    { head: 'TOPIC', value: ({ topic }) => topic },
    { head: 'SIZE', value: ({ payload_bytes }) => bytes(payload_bytes), align: 'right' },
    { head: 'WHY', value: ({ reason }) => reason },
    { head: 'BEGINNING', value: ({ beginning }) => beginning },
  ]);
}

export function fleetText(
  { devices, revoked, idle_since: idleSince, seen, versions, rollouts, attention }: Fleet,
  now: Date,
): string[] {
  const about = seen.is_estimate ? 'about ' : '';
  const seenIn = `online ${about}${number(seen.online)}, seen in the last hour ${about}${number(seen.last_hour)}, day ${about}${number(seen.last_day)}, week ${about}${number(seen.last_week)}`;
  return [
    `${bold(count(devices, 'device'))}  ${dim(seenIn)}`,
    ...(revoked === 0 ? [] : [dim(`${count(revoked, 'revoked device')} not counted: paku-ota device list --revoked`)]),
    ...(idleSince === null
      ? []
      : [dim(`at rest since ${ago(idleSince, now)}: who had nothing new to say since was not written down`)]),
    ...(versions.length === 0 ? [] : ['', ...versionTable(versions)]),
    '',
    ...(rollouts.length === 0 ? ['No rollout is under way.'] : rolloutTable(rollouts, now)),
    '',
    ...(attention.length === 0
      ? [green('Nothing needs attention.')]
      : attention.map(({ message }) => `${yellow('!')} ${message}`)),
  ];
}

const versionTable = (versions: Fleet['versions']) =>
  table(versions, [
    { head: 'MODEL', value: ({ device_model }) => device_model },
    { head: 'VERSION', value: ({ firmware_version }) => firmware_version },
    { head: 'DEVICES', value: ({ devices }) => devices, align: 'right' },
  ]);
