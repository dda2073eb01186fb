import type { Chip } from './chips.ts';
import { type Clock, scaledClock } from './clock.ts';
import type { BrokerConnection } from './mqtt-session.ts';
import { DEFAULT_PACKET_LIMIT } from './packet-size.ts';
import type { RandomSource } from './random.ts';
import type { StatusForm } from './status-payload.ts';
import type { TopicFamily } from './topics.ts';

/** What goes wrong, or merely slowly, with one device. Nothing of it unless it is set. */
export interface Behaviours {
  /** The probability, 0 to 1, that a message to the broker is lost. */
  readonly loseMessages?: number;
  /** Deep sleep without a DISCONNECT whenever it was awake for so long and no update runs. */
  readonly sleep?: { readonly awakeSeconds: number; readonly asleepSeconds: number };
  /** Whether an image does not boot, so that the bootloader goes back to the old one. */
  readonly bootFails?: (version: string) => boolean;
  /** After how many seconds a new image crashes and goes back to the old one; undefined: never. */
  readonly crashesAfterSeconds?: (version: string) => number | undefined;
  /** How long a reboot takes, instead of 5 s. */
  readonly slowRebootSeconds?: number;
  /** Whether the device is never heard of again after the reboot into an image. */
  readonly dies?: (version: string) => boolean;
  /** The clock never hears of NTP: timestamps count from 1970. */
  readonly clockUnsynced?: boolean;
  /** Commands are acknowledged to the broker (PUBACK) and then forgotten. */
  readonly ignoresCommands?: boolean;
  /** What an image calls itself, if it is not the version of the command. */
  readonly liesAboutVersion?: (version: string) => string;
  /** How many downloads break off half-way before one succeeds. */
  readonly downloadFailsTimes?: number;
  /** Progress is held back until the download has ended. */
  readonly progressInBurst?: boolean;
  /** What radio and flash manage in a second of the device's clock; unlimited unless set. */
  readonly bytesPerSecond?: number;
}

/** Remembers the firmware version of devices across restarts of the process. */
export interface VersionStore {
  get(deviceId: string): string | undefined | Promise<string | undefined>;
  set(deviceId: string, version: string): void | Promise<void>;
}

/** Everything that makes one virtual device. */
export interface VirtualDeviceOptions {
  /** Topic segment and MQTT client id. */
  readonly deviceId: string;
  readonly model: string;
  /** The version it starts on, unless `persist` knows a later one. */
  readonly firmwareVersion: string;
  readonly mac: string;
  readonly chip: Chip;
  readonly topicFamily: TopicFamily;
  /** The form of its statuses; `1.4.2` also names both versions in its OTA messages. */
  readonly statusForm: StatusForm;
  readonly connection: BrokerConnection;
  /** First segment of all topics. @default 'paku' */
  readonly topicPrefix?: string;
  /** @default 60 */
  readonly heartbeatSeconds?: number;
  /** MQTT keep-alive in real seconds; firmware in the field has 15 to 60. @default 15 */
  readonly keepaliveSeconds?: number;
  /** Size of an OTA partition; 0: there is none. @default 1.875 MiB, of Arduino's min_spiffs.csv */
  readonly otaPartitionBytes?: number;
  /** Longest MQTT packet that is received, in bytes. @default 256 */
  readonly packetLimit?: number;
  /** How long a silent download server is waited for, in real milliseconds. @default 5 minutes */
  readonly socketTimeoutMs?: number;
  /** PEM of the CA for https downloads. @default - the server is not verified, as in some generations */
  readonly imageCa?: string;
  /** @default - the wall clock */
  readonly clock?: Clock;
  /** Decides which messages are lost. @default Math.random */
  readonly random?: RandomSource;
  /** @default - none: a well-behaved device */
  readonly behaviours?: Behaviours;
  /** @default - the version is forgotten with the process */
  readonly persist?: VersionStore;
}

const DEFAULTS = {
  topicPrefix: 'paku',
  heartbeatSeconds: 60,
  keepaliveSeconds: 15,
  otaPartitionBytes: 1.875 * 1024 * 1024,
  packetLimit: DEFAULT_PACKET_LIMIT,
  socketTimeoutMs: 5 * 60_000,
  random: Math.random,
  behaviours: {},
} as const;

/** A device's options with every default filled in. */
export type DeviceProfile = VirtualDeviceOptions & { readonly clock: Clock } & Required<
    Pick<VirtualDeviceOptions, keyof typeof DEFAULTS>
  >;

/** Fills in the defaults of a device. */
export function profileOf(options: VirtualDeviceOptions): DeviceProfile {
  return { ...DEFAULTS, clock: scaledClock(), ...options };
}
