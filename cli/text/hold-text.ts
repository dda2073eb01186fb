import type { Hold, HoldPreview } from '../../api/holds.ts';
import type { Reach } from '../../api/reach.ts';
import { bold, yellow } from './style.ts';
import { table } from './table.ts';
import { ago, caller, count, instant, withInstants } from './units.ts';

/** The effect of a hold: the updates that would wait, and those that would go on. */
export function holdEffectText({ devices, already_held: held, waiting, under_way, rollouts }: HoldPreview): string[] {
  const other = held === 0 ? '' : `, of which ${count(held, 'device')} ${held === 1 ? 'is' : 'are'} held already`;
  return [
    `${bold(count(devices, 'device'))} would be sent nothing${other}; ${count(rollouts, 'active rollout')} would send nothing to them.`,
    `${count(waiting, 'pending update')} would wait and not fail. ${count(under_way, 'update')} whose command was sent would go on.`,
  ];
}

export const holdText = (hold: Hold): string[] => [
  `${withInstants(hold.text)}.`,
  `${hold.began_at === null ? `It holds ${count(hold.devices, 'device')} from then on.` : `${count(hold.devices, 'device')} held; ${count(hold.waiting, 'pending update')} waiting.`} To end it: paku-ota hold remove ${hold.hold_id} --reason "…"`,
];

export function holdTable(holds: readonly Hold[], now: Date): string[] {
  if (holds.length === 0) return ['No holds.'];
  return table(holds, [
    { head: 'ID', value: ({ hold_id }) => hold_id, align: 'right' },
    {
      head: 'HOLDS',
      value: ({ device_id, group_name }) =>
        device_id ?? (group_name === null ? yellow('everything') : `group ${group_name}`),
    },
    { head: 'DEVICES', value: ({ devices }) => devices, align: 'right' },
    { head: 'WAITING', value: ({ waiting }) => waiting, align: 'right' },
    { head: 'SET', value: ({ created_at, created_by }) => `${ago(created_at, now)} by ${caller(created_by ?? 'SQL')}` },
    { head: 'BEGINS', value: beginOf },
    { head: 'ENDS', value: endOf },
    { head: 'REASON', value: ({ reason }) => reason },
  ]);
}

const beginOf = ({ began_at: began, starts_at: at }: Hold) =>
  began !== null ? instant(began) : at === null ? '–' : yellow(`planned: ${instant(at)}`);

function endOf({ ends_at: at, ended_at: ended, ended_by: by, ended_reason: reason }: Hold): string {
  if (ended !== null) return `ended ${instant(ended)} by ${caller(by ?? 'SQL')}: ${reason ?? 'no reason given'}`;
  return at === null ? 'when it is removed' : instant(at);
}

/** The rollouts that would send because of a change, with their devices. */
export function reachText(reached: readonly Reach[]): string[] {
  if (reached.length === 0) return ['No rollout sends anything because of it.'];
  return reached.map(
    ({ rollout_name: name, firmware_version: version, devices }) =>
      `Rollout ${JSON.stringify(name)} sends ${bold(version)} to ${bold(count(devices, 'device'))}, as its stages and limits allow.`,
  );
}
