import type { Recovery, RecoveryPreview } from '../../api/recovery.ts';
import type { Sender } from '../../api/senders.ts';
import { bold, yellow } from './style.ts';
import { pad, table } from './table.ts';
import { count, number } from './units.ts';

/** What a recovery would do now. */
export function recoveryPreviewText(preview: RecoveryPreview): string[] {
  const { devices, by_version, firmware_version: version, state, can_recover, held } = preview;
  const head =
    devices === 0
      ? `No device would be sent back from ${version}.`
      : `${bold(number(devices))} ${devices === 1 ? 'device' : 'devices'} would be sent back from ${version}:`;
  return [
    head,
    ...by_version.map(
      ({ firmware_version, devices: n, may_run }) =>
        `${pad(number(n), 8, 'right')}  to ${firmware_version}${may_run === 0 ? '' : `, ${number(may_run)} of which went silent in the update and may not run ${version}`}`,
    ),
    ...(held === 0
      ? []
      : [
          yellow(
            `${count(held, 'device')} of them ${held === 1 ? 'is' : 'are'} held: sent back once the hold has ended.`,
          ),
        ]),
    ...restText(preview),
    ...(can_recover ? [] : [yellow(`The rollout is ${state}: pause it before a recovery.`)]),
  ];
}

/** What a recovery did. */
export function recoveryText(recovery: Recovery): string[] {
  const { devices, recoveries } = recovery;
  const next = recoveries[0];
  return [
    devices === 0
      ? 'No further device was assigned.'
      : `${bold(count(devices, 'device'))} assigned: each gets its command when it reports next.`,
    ...restText(recovery),
    ...(next === undefined ? [] : [`Watch it: paku-ota rollout watch ${next.rollout_id}`]),
  ];
}

function restText({ cannot, under_way, recoveries, firmware_version }: RecoveryPreview | Recovery): string[] {
  return [
    ...(under_way === 0
      ? []
      : [
          `${count(under_way, 'device')} still downloading or booting ${firmware_version}: sent back once they run it.`,
        ]),
    ...cannot.flatMap(({ reason, devices, device_ids }) => [
      yellow(`${count(devices, 'device')} cannot be sent back: ${reason}`),
      `          ${device_ids.join(', ')}${devices > device_ids.length ? ', …' : ''}`,
    ]),
    ...(recoveries.length === 0
      ? []
      : table(recoveries, [
          { head: 'RECOVERY', value: ({ name }) => name },
          { head: 'STATE', value: ({ state }) => state },
          { head: 'ASSIGNED', value: ({ devices }) => devices, align: 'right' },
          { head: 'DONE', value: ({ succeeded }) => succeeded, align: 'right' },
          { head: 'OPEN', value: ({ pending, in_progress }) => pending + in_progress, align: 'right' },
          { head: 'FAILED', value: ({ failed }) => failed, align: 'right' },
        ])),
  ];
}

/** Rollouts that are named. */
const RECOVERIES = 5;

/** The commands that send devices back to the version before. */
export const recoverText = (senders: readonly Sender[]): string[] =>
  senders
    .slice(0, RECOVERIES)
    .map(
      ({ rollout_id: id, rollout_name: name, firmware_version: version, devices, state }) =>
        `Rollout ${JSON.stringify(name)} sent ${version} to ${count(devices, 'device')}. To send them back to the version before${state === 'active' ? ', once it is stopped' : ''}: paku-ota rollout recover ${id} --preview`,
    );
