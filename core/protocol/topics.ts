import { DEVICE_ID, type DeviceId } from '../util/index.ts';

/**
 * Firmware up to 1.3 uses topics under `{prefix}/devices/…`, firmware from 1.4.1 uses `{prefix}/edge/…`, and 1.4.0
 * subscribes to both.
 */
export const COMMAND_FAMILIES = ['devices', 'edge'] as const;
export type CommandFamily = (typeof COMMAND_FAMILIES)[number];

export const commandTopic = (prefix: string, family: CommandFamily, deviceId: DeviceId): string =>
  `${prefix}/${family}/${deviceId}/cmd/ota`;

/**
 * The family whose command topic the subscriptions of a device match; `both` for firmware that listens on both; undefined
 * if they match neither, as while the device is still subscribing.
 */
export function subscribedFamily(
  filters: readonly string[],
  prefix: string,
  deviceId: DeviceId,
): CommandFamily | 'both' | undefined {
  const [first, ...others] = heardFamilies(filters, prefix, deviceId);
  return others.length > 0 ? 'both' : first;
}

/** The command topics of a device that its subscriptions match. */
export const commandTopicsIn = (filters: readonly string[], prefix: string, deviceId: DeviceId): string[] =>
  heardFamilies(filters, prefix, deviceId).map((family) => commandTopic(prefix, family, deviceId));

const heardFamilies = (filters: readonly string[], prefix: string, deviceId: DeviceId): CommandFamily[] =>
  COMMAND_FAMILIES.filter((family) =>
    filters.some((filter) => matchesFilter(commandTopic(prefix, family, deviceId), filter)),
  );

/** True if an MQTT topic filter, with its wildcards `+` and `#`, matches the topic. */
function matchesFilter(topic: string, filter: string): boolean {
  const levels = topic.split('/');
  const parts = filter.split('/');
  const isMatch = parts.every((part, n) => part === '#' || (n < levels.length && (part === '+' || part === levels[n])));
  return isMatch && (parts.length === levels.length || parts.at(-1) === '#');
}

export type OtaTopicKind = 'status' | 'progress' | 'result';

/** Parses `{prefix}/{devices|edge}/{deviceId}/ota/{status|progress|result}`; undefined for any other topic. */
export function parseOtaTopic(topic: string): { family: CommandFamily; kind: OtaTopicKind } | undefined {
  const match = /^[^/]+\/(devices|edge)\/[^/]+\/ota\/(status|progress|result)$/.exec(topic);
  if (match === null) return undefined;
  return { family: match[1] as CommandFamily, kind: match[2] as OtaTopicKind };
}

/** The topics of one kind of message, each of which belongs to one device. */
export interface DeviceTopics {
  /** How such a topic is written, for the reason of a rejection. */
  readonly form: string;
  /** The device that a topic belongs to; undefined unless the whole topic has the form. */
  deviceOf(topic: string): string | undefined;
}

export const statusTopics = (prefix: string): DeviceTopics => deviceTopics(prefix, ['edge'], '', ['status']);

export const otaTopics = (prefix: string): DeviceTopics =>
  deviceTopics(prefix, ['devices', 'edge'], 'ota/', ['status', 'progress', 'result']);

function deviceTopics(
  prefix: string,
  families: readonly CommandFamily[],
  below: string,
  ends: readonly string[],
): DeviceTopics {
  return {
    form: [prefix, families.join('|'), '<device id>', below + ends.join('|')].join('/'),
    deviceOf(topic) {
      const [first, family, deviceId = '', ...rest] = topic.split('/');
      const isEnd = ends.some((end) => below + end === rest.join('/'));
      const isOurs = first === prefix && families.some((each) => each === family) && isEnd;
      return isOurs && DEVICE_ID.test(deviceId) ? deviceId : undefined;
    },
  };
}

/** The device in whose subtree a topic is; undefined for a topic outside of both subtrees. */
export function subtreeOf(topic: string): string | undefined {
  const [, family, deviceId = ''] = topic.split('/');
  return (family === 'edge' || family === 'devices') && DEVICE_ID.test(deviceId) ? deviceId : undefined;
}
