import type { AllowedDevice, Device, DeviceDetail, Explanation, Group, TimelineEntry } from '../../api/devices.ts';
import { describeFact } from '../../api/fact-text.ts';
import { bold, dim, green, red, yellow } from './style.ts';
import { facts, table } from './table.ts';
import { ago, caller, duration, instant, instantAgo, withInstants, words } from './units.ts';

export function deviceTable(devices: readonly Device[], now: Date): string[] {
  if (devices.length === 0) return ['No devices. A device appears with its first status message.'];
  return table(devices, [
    { head: 'DEVICE', value: ({ device_id, online }) => `${online ? green('●') : dim('○')} ${device_id}` },
    { head: 'MODEL', value: (device) => modelText(device) },
    { head: 'VERSION', value: ({ current_firmware_version }) => current_firmware_version },
    { head: 'SEEN', value: seenText(now) },
    { head: 'GROUPS', value: ({ groups }) => groups.join(', ') },
    { head: 'UPDATE', value: (device) => (device.revoked_at === null ? updateText(device) : red('revoked')) },
    { head: 'IDENTITY', value: (device) => (device.identity_changed_at === null ? null : yellow('changed')) },
  ]);
}

/** `7 min ago, usually every 30 s` where the device is silent; its habit says whether that is unusual. */
const seenText =
  (now: Date) =>
  ({ last_seen, presence: { state, usual_seconds: usual } }: Device): string => {
    const seen = ago(last_seen, now);
    return state === 'online' || usual === null ? seen : `${seen}, usually every ${duration(usual)}`;
  };

/** The newest update as a phrase; null when there is none. */
export function updateText({
  update,
  current_firmware_version: current,
}: Pick<Device, 'update' | 'current_firmware_version'>): string | null {
  if (update === null) return null;
  const { firmware_version: version, status, is_open: isOpen, progress_percent: percent, reason } = update;
  if (status === 'success' && isOpen) return `→ ${version} ${unprovenText(version === current)}`;
  if (status === 'success') return green(`✓ ${version}`);
  if (!isOpen) return red(`✗ ${version} ${words(status)}${reason === null ? '' : `: ${reason}`}`);
  const doing = words(status);
  return `→ ${version} ${doing}${percent === null ? '' : ` ${percent} %`}${reason === null ? '' : `: ${reason}`}`;
}

/** An image that was written and is not proven: the device must boot it, and then stay up for the probation. */
export const unprovenText = (isRunning: boolean): string => (isRunning ? 'on probation' : 'installed, not booted yet');

export function deviceText(device: DeviceDetail, now: Date): string[] {
  const { uptime_seconds: uptime, signal_strength_dbm: signal, metadata } = device;
  const attributes = Object.entries(metadata).map(([key, value]) => `${key}=${value}`);
  return [
    `${bold(device.device_id)}  ${presenceText(device.presence)}`,
    ...facts([
      ['model', modelText(device)],
      ['identity', identityText(device, now)],
      ['revoked', revokedText(device)],
      ...device.holds.map((hold) => ['held', yellow(`${withInstants(hold.text)}; hold ${hold.hold_id}`)] as const),
      ['runs', device.current_firmware_version],
      ['update', updateText(device)],
      ['rollout', device.update?.rollout_name ?? null],
      ['seen', instantAgo(device.last_seen, now) ?? 'never'],
      ['AWS IoT', device.connection?.text ?? null],
      ['refused', device.refusals && yellow(device.refusals.text)],
      ['last status', device.status_fault && yellow(device.status_fault)],
      ['rejected', rejectedText(device, now)],
      ['registered', instantAgo(device.registered_at, now)],
      ['MAC', macText(device)],
      ['signal', signal === null ? null : `${signal} dBm`],
      ['uptime', uptime === null ? null : duration(uptime)],
      ['groups', device.groups.join(', ')],
      ['attributes', attributes.join(', ')],
      ...factRows(device, now),
      ['MQTT client', device.client_id === device.device_id ? null : device.client_id],
      ['commands on', device.command_family && `…/${device.command_family}/${device.device_id}/cmd/ota`],
    ]),
  ];
}

/** What the device states about itself; with the age of what its last status did not state. */
const factRows = ({ facts: stated, last_seen }: DeviceDetail, now: Date) =>
  Object.entries(stated).map(([name, { value, stated_at: at }]) => {
    const age = at === null || at === last_seen ? '' : `, stated ${ago(at, now)}`;
    return ['states', `${name} = ${describeFact(name, value)}${age}`] as const;
  });

/** `● online: last heard 12 s ago, usually every 30 s` */
function presenceText({ state, since, text }: Device['presence']): string {
  if (state === 'online') return `${green('● online')}: ${text}`;
  const from = state === 'presumed_offline' && since !== null ? ` since ${instant(since)}` : '';
  return `${dim(`○ ${words(state)}${from}`)}: ${text}`;
}

const modelText = ({ device_model: model, model_is_assumed: isAssumed }: Device): string =>
  isAssumed ? yellow(`${model} (assumed)`) : model;

function identityText(device: DeviceDetail, now: Date) {
  const { identity_change: change, identity_changed_at: at, model_is_assumed: isAssumed, device_id: id } = device;
  if (change === null && isAssumed) {
    return yellow(
      `its model was never stated; only rollouts that name it by its id update it: paku-ota device accept ${id} --model <model>`,
    );
  }
  if (change === null) return null;
  return yellow(`${change} since ${instantAgo(at, now)}; no rollout updates it: paku-ota device accept ${id}`);
}

function macText({ mac_address: mac, mac_shared_with: others }: DeviceDetail): string | null {
  return others.length === 0 ? mac : yellow(`${mac}, also of ${others.join(', ')}`);
}

/** The newest rejected message with the beginning of its payload. */
function rejectedText({ rejected_message: message }: DeviceDetail, now: Date): string | null {
  if (message === null) return null;
  const { received_at: at, topic, reason, beginning } = message;
  return yellow(`${instantAgo(at, now)} on ${topic}: ${reason}. It begins: ${beginning}`);
}

function revokedText({ revoked_at: at, revoked_reason: reason, revoked_by: by }: DeviceDetail): string | null {
  if (at === null) return null;
  return red(`${instant(at)}: ${reason ?? 'no reason given'}, by ${caller(by ?? 'SQL')}`);
}

export function timelineTable(entries: readonly TimelineEntry[]): string[] {
  if (entries.length === 0) return ['Nothing happened to it yet.'];
  return table(entries, [
    { head: 'AT', value: ({ at }) => instant(at) },
    { head: 'EVENT', value: ({ event }) => words(event) },
    { head: 'VERSION', value: ({ firmware_version }) => firmware_version },
    { head: 'ATTEMPT', value: ({ attempt }) => attempt, align: 'right' },
    { head: 'DETAIL', value: ({ detail }) => detailText(detail, hiddenOf(detail)) },
  ]);
}

/** Details with a column of their own, and the timestamp of the device's clock, which is not reliable. */
const SHOWN_ELSEWHERE = ['timestamp', 'updateId', 'attempt'];
/** The number is not shown where `result` names it. */
const hiddenOf = (detail: TimelineEntry['detail']) =>
  detail.result === undefined ? SHOWN_ELSEWHERE : [...SHOWN_ELSEWHERE, 'resultCode'];
/** The history of a rollout has further columns. */
const HIDDEN_IN_HISTORY = [...SHOWN_ELSEWHERE, 'by', 'reason'];

/** `state: Downloading, percent: 45, groups: vans boats`; deeper values as JSON. */
export const detailText = (detail: Readonly<Record<string, unknown>>, hidden = HIDDEN_IN_HISTORY): string =>
  Object.entries(detail)
    .filter(([key, value]) => value !== null && value !== '' && !hidden.includes(key))
    .map(([key, value]) => `${words(key)}: ${valueText(value)}`)
    .join(', ');

function valueText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return caller(String(value));
  const isFlat = Object.values(value).every((each) => typeof each !== 'object');
  if (!isFlat) return JSON.stringify(value);
  return (Array.isArray(value) ? value : Object.entries(value).map((pair) => pair.join('='))).join(' ');
}

export function explanationText(explanation: Explanation, now: Date): string[] {
  const { device_id, presence, connection, refusals, rule, since, next, rollout_name, firmware_version } = explanation;
  return [
    `${bold(device_id)}: ${withInstants(rule)}`,
    ...facts([
      ['since', instantAgo(since, now)],
      ['next', withInstants(next)],
      ['device', presenceText(presence)],
      ['AWS IoT', connection?.text ?? null],
      ['refused', refusals && yellow(refusals.text)],
      ['rollout', `${rollout_name} (${firmware_version})`],
    ]),
  ];
}

export function groupTable(groups: readonly Group[]): string[] {
  if (groups.length === 0) return ['No groups. Make one: paku-ota device group add <group> <device>…'];
  return table(groups, [
    { head: 'GROUP', value: ({ group_name }) => group_name },
    { head: 'DEVICES', value: ({ devices }) => devices, align: 'right' },
  ]);
}

export function allowedTable(devices: readonly AllowedDevice[], now: Date): string[] {
  if (devices.length === 0)
    return ['No device may request a certificate. Allow devices with: paku-ota device allow add <device>…'];
  return table(devices, [
    { head: 'DEVICE', value: ({ device_id }) => device_id },
    { head: 'ALLOWED', value: ({ allowed_at }) => ago(allowed_at, now) },
    { head: 'MODEL', value: ({ device_model }) => device_model },
    { head: 'MAC', value: ({ mac_address }) => mac_address },
    { head: 'BY', value: ({ allowed_by }) => allowed_by && caller(allowed_by) },
    { head: 'ASKED', value: ({ provisioned_at }) => ago(provisioned_at, now) },
  ]);
}
