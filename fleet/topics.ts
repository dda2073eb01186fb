/**
 * The OTA topic family of a firmware generation: `devices` up to 1.3 and `edge` from 1.4.1. Firmware 1.4.0 subscribes to
 * both and answers on `devices`. The status topic is under `edge` in every generation.
 */
export type TopicFamily = 'devices' | 'edge' | 'both';

/** The MQTT topics of one device. */
export interface DeviceTopics {
  /** The topic of retained statuses and the last will. */
  readonly status: string;
  /** The topics that the device subscribes to for commands. */
  readonly commands: readonly string[];
  readonly otaStatus: string;
  readonly otaProgress: string;
  readonly otaResult: string;
}

/** The topics of a device under the prefix of a deployment. */
export function topicsOf(prefix: string, deviceId: string, family: TopicFamily): DeviceTopics {
  const listens = family === 'both' ? (['devices', 'edge'] as const) : [family];
  const answers = `${prefix}/${family === 'edge' ? 'edge' : 'devices'}/${deviceId}/ota`;
  return {
    status: `${prefix}/edge/${deviceId}/status`,
    commands: listens.map((subtree) => `${prefix}/${subtree}/${deviceId}/cmd/ota`),
    otaStatus: `${answers}/status`,
    otaProgress: `${answers}/progress`,
    otaResult: `${answers}/result`,
  };
}
