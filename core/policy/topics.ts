/**
 * Firmware up to 1.3 uses topics under `{prefix}/devices/…`, firmware from 1.4.1 uses `{prefix}/edge/…`, and 1.4.0
 * subscribes to both.
 */
export type CommandFamily = 'devices' | 'edge';

/** Position of the device id in every topic of a device, counted from 0: `{prefix}/{family}/{deviceId}/…`. */
export const DEVICE_ID_SEGMENT = 2;

export const commandTopic = (prefix: string, family: CommandFamily, deviceId: string): string =>
  `${prefix}/${family}/${deviceId}/cmd/ota`;

export type OtaTopicKind = 'status' | 'progress' | 'result';

/** Parses `{prefix}/{devices|edge}/{deviceId}/ota/{status|progress|result}`; undefined for any other topic. */
export function parseOtaTopic(topic: string): { family: CommandFamily; kind: OtaTopicKind } | undefined {
  const match = /^[^/]+\/(devices|edge)\/[^/]+\/ota\/(status|progress|result)$/.exec(topic);
  if (match === null) return undefined;
  return { family: match[1] as CommandFamily, kind: match[2] as OtaTopicKind };
}
