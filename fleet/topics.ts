/**
 * Which of the two OTA topic families a firmware generation speaks: up to 1.3 `devices`, from 1.4.1 `edge`; 1.4.0
 * listens on both and still answers on `devices`. The status topic is under `edge` in every generation.
 */
export type TopicFamily = 'devices' | 'edge' | 'both';

/** The MQTT topics of one device. */
export interface DeviceTopics {
  /** Retained statuses and the last will. */
  readonly status: string;
  /** Where the device listens for commands. */
  readonly commands: readonly string[];
  readonly otaStatus: string;
  readonly otaProgress: string;
  readonly otaResult: string;
}

/** Gives the topics of a device under a deployment's prefix (`paku` unless set otherwise). */
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
