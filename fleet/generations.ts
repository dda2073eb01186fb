import type { ConnectionWindow } from './connect-habits.ts';
import type { VirtualDeviceOptions } from './device-options.ts';

/** Firmware that is in the field, by version. */
export type Generation = '1.1.0' | '1.4.0' | '1.4.2';

type GenerationOptions = Pick<
  VirtualDeviceOptions,
  | 'topicFamily'
  | 'statusForm'
  | 'packetLimit'
  | 'keepaliveSeconds'
  | 'heartbeatSeconds'
  | 'hasLastWill'
  | 'habits'
  | 'window'
  | 'httpClient'
  | 'selectsBeforeVerifying'
>;

const COMMON = {
  // PubSubClient's default.
  keepaliveSeconds: 15,
  heartbeatSeconds: 15,
  hasLastWill: false,
  httpClient: 'arduino',
  selectsBeforeVerifying: true,
} as const;

const CONTROL = ['{prefix}/control', '{prefix}/edge/{id}/control', '{prefix}/edge/{id}/config/set'];
const OLDER_COMMAND = '{prefix}/devices/{id}/cmd/ota';
const NEWER_COMMAND = '{prefix}/edge/{id}/cmd/ota';
const WIFI = '{prefix}/devices/{id}/cmd/wifi';
const SENSORS = ['{prefix}/sensors/{id}_wired/data', '{prefix}/sensors/ruuvi_cabin/data'];
/** Two statuses a window, two windows a minute. */
const WINDOW: ConnectionWindow = { openSeconds: 25, everySeconds: 30 };

/** Options that make a virtual device do what the firmware of a generation does. */
export const GENERATIONS = {
  '1.1.0': {
    ...COMMON,
    topicFamily: 'devices',
    statusForm: '1.1.0',
    packetLimit: 512,
    habits: {
      subscribes: [...CONTROL, OLDER_COMMAND, WIFI],
      configTopic: '{prefix}/edge/{id}/config',
      sensorTopics: SENSORS,
    },
  },
  '1.4.0': {
    ...COMMON,
    topicFamily: 'both',
    statusForm: '1.4.2-s3',
    packetLimit: 1024,
    habits: {
      subscribes: [...CONTROL, OLDER_COMMAND, NEWER_COMMAND, WIFI],
      configTopic: '{prefix}/edge/{id}/config/report',
      sensorTopics: SENSORS,
    },
    window: WINDOW,
  },
  '1.4.2': {
    ...COMMON,
    topicFamily: 'edge',
    statusForm: '1.4.2-s3',
    packetLimit: 1024,
    habits: {
      subscribes: [...CONTROL, NEWER_COMMAND, WIFI],
      configTopic: '{prefix}/edge/{id}/config/report',
      sensorTopics: SENSORS,
    },
    window: WINDOW,
  },
} as const satisfies Record<Generation, GenerationOptions>;
