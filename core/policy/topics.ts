/** Firmware up to 1.3 reports updates under `{prefix}/devices/…`, from 1.4.1 under `{prefix}/edge/…`, 1.4.0 hears both. */
export type CommandFamily = 'devices' | 'edge';

/** Where the device id stands in every topic of a device, counted from 0: `{prefix}/{family}/{deviceId}/…`. */
export const DEVICE_ID_SEGMENT = 2;

export const commandTopic = (prefix: string, family: CommandFamily, deviceId: string): string =>
  `${prefix}/${family}/${deviceId}/cmd/ota`;

export type OtaTopicKind = 'status' | 'progress' | 'result';

/** Reads `{prefix}/{devices|edge}/{deviceId}/ota/{status|progress|result}`; undefined for anything else. */
export function parseOtaTopic(topic: string): { family: CommandFamily; kind: OtaTopicKind } | undefined {
  const match = /^[^/]+\/(devices|edge)\/[^/]+\/ota\/(status|progress|result)$/.exec(topic);
  if (match === null) return undefined;
  return { family: match[1] as CommandFamily, kind: match[2] as OtaTopicKind };
}
