import type { Chip } from './chips.ts';
import { type Clock, scaledClock } from './clock.ts';
import type { ConnectHabits, ConnectionWindow } from './connect-habits.ts';
import type { HttpClientKind } from './http-client.ts';
import type { BrokerConnection } from './mqtt-session.ts';
import { DEFAULT_PACKET_LIMIT } from './packet-size.ts';
import type { RandomSource } from './random.ts';
import type { StatusForm } from './status-payload.ts';
import type { TopicFamily } from './topics.ts';

/** Faults and limits of one device. Each is off unless it is set. */
export interface Behaviours {
  /** Probability from 0 to 1 that a message to the broker is lost. */
  readonly loseMessages?: number;
  /** Deep sleep without a DISCONNECT after each `awakeSeconds`, unless an update runs. */
  readonly sleep?: { readonly awakeSeconds: number; readonly asleepSeconds: number };
  /** True for a version whose image does not boot; the bootloader then rolls back. */
  readonly bootFails?: (version: string) => boolean;
  /** Seconds after which a new image crashes and is rolled back; undefined means never. */
  readonly crashesAfterSeconds?: (version: string) => number | undefined;
  /**
   * For a version that crashes in a loop and is not rolled back: how long each boot lasts, and how long the device is off
   * before the next one. Most field firmware never confirms an image, and stays on it.
   */
  readonly crashLoop?: (version: string) => { readonly upSeconds: number; readonly downSeconds: number } | undefined;
  /** Duration of a reboot. @default 5 s */
  readonly slowRebootSeconds?: number;
  /** True for a version after whose installation the device does not boot again. */
  readonly dies?: (version: string) => boolean;
  /** NTP never synchronizes the clock, so timestamps count from 1970. */
  readonly clockUnsynced?: boolean;
  /** Commands are acknowledged to the broker (PUBACK) and then ignored. */
  readonly ignoresCommands?: boolean;
  /** The version that an image reports, if it differs from the version of the command. */
  readonly embeddedVersion?: (version: string) => string;
  /** Number of downloads that fail half-way before one succeeds. */
  readonly downloadFailsTimes?: number;
  /**
   * True for a version whose installation stalls for longer than the keep-alive: the broker closes the connection, and the
   * result, which has QoS 0, is lost.
   */
  readonly stallLosesResult?: (version: string) => boolean;
  /** Progress reports are delayed until the installation has ended. */
  readonly progressInBurst?: boolean;
  /** Bytes per second of the device's clock that radio and flash can handle. @default unlimited */
  readonly bytesPerSecond?: number;
}

/** Stores the firmware versions of devices across restarts of the process. */
export interface VersionStore {
  get(deviceId: string): string | undefined | Promise<string | undefined>;
  set(deviceId: string, version: string): void | Promise<void>;
}

/** Options of one virtual device. */
export interface VirtualDeviceOptions {
  /** Topic segment and MQTT client id of the device. */
  readonly deviceId: string;
  readonly model: string;
  /** The version at the first start; `persist` overrides it. */
  readonly firmwareVersion: string;
  readonly mac: string;
  readonly chip: Chip;
  readonly topicFamily: TopicFamily;
  /** The format of statuses. With `1.4.2`, OTA messages also name both versions. */
  readonly statusForm: StatusForm;
  readonly connection: BrokerConnection;
  /** The first segment of all topics. @default 'paku' */
  readonly topicPrefix?: string;
  /** Interval between two statuses. @default 60 */
  readonly heartbeatSeconds?: number;
  /** MQTT keep-alive in real seconds. Field firmware uses 15 to 60. @default 15 */
  readonly keepaliveSeconds?: number;
  /** Size of an OTA partition; 0 means that there is none. @default 1.875 MiB, as in Arduino's min_spiffs.csv */
  readonly otaPartitionBytes?: number;
  /** The broker publishes `{"online":false}` when the device is gone. @default true */
  readonly hasLastWill?: boolean;
  /** Further fields of each status, such as what the device states about its board. @default none */
  readonly facts?: () => Readonly<Record<string, unknown>>;
  /** What the firmware does at a connect besides listening for commands and reporting its status. @default nothing */
  readonly habits?: ConnectHabits;
  /** @default the device stays connected */
  readonly window?: ConnectionWindow;
  /**
   * The boot partition is selected before the checksum is compared, so that an image whose checksum is wrong is reported
   * with code 3 and boots at the next reset. @default false
   */
  readonly selectsBeforeVerifying?: boolean;
  /** Maximum size of a received MQTT packet in bytes. @default 256 */
  readonly packetLimit?: number;
  /** Timeout of a silent download server, in real milliseconds. @default 5 minutes */
  readonly socketTimeoutMs?: number;
  /** @default 'arduino' */
  readonly httpClient?: HttpClientKind;
  /** PEM of the CA for https downloads. @default the server is not verified, as in some firmware generations */
  readonly imageCa?: string;
  /** Public key in PEM, P-256, that must have signed the manifest of each download. @default manifests are ignored */
  readonly manifestKey?: string;
  /** @default the wall clock */
  readonly clock?: Clock;
  /** Selects the messages that are lost. @default Math.random */
  readonly random?: RandomSource;
  /** @default no faults */
  readonly behaviours?: Behaviours;
  /** @default versions are not stored */
  readonly persist?: VersionStore;
}

const DEFAULTS = {
  topicPrefix: 'paku',
  heartbeatSeconds: 60,
  keepaliveSeconds: 15,
  otaPartitionBytes: 1.875 * 1024 * 1024,
  packetLimit: DEFAULT_PACKET_LIMIT,
  hasLastWill: true,
  selectsBeforeVerifying: false,
  socketTimeoutMs: 5 * 60_000,
  random: Math.random,
  behaviours: {},
} as const;

/** The options of a device with all defaults. */
export type DeviceProfile = VirtualDeviceOptions & { readonly clock: Clock } & Required<
    Pick<VirtualDeviceOptions, keyof typeof DEFAULTS>
  >;

/** Adds the defaults to the options of a device. */
export function profileOf(options: VirtualDeviceOptions): DeviceProfile {
  return { ...DEFAULTS, clock: scaledClock(), ...options };
}
