import type { OtaCommand } from './command.ts';
import type { ResultCode } from './ota-failure.ts';
import type { Progress } from './ota-payload.ts';

/** Changes of a virtual device, for its observers. The service does not see these events. */
export type DeviceStateChange =
  /** Connected and subscribed. The status with this version was sent. */
  | { readonly kind: 'connected'; readonly version: string }
  /** The connection failed. The device will retry. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The connection was lost. */
  | { readonly kind: 'disconnected' }
  /** A PUBLISH over the packet limit was dropped without an acknowledgement. */
  | { readonly kind: 'droppedPacket'; readonly topic: string; readonly bytes: number }
  /** A message of the device was not sent. */
  | { readonly kind: 'lostMessage'; readonly topic: string }
  | { readonly kind: 'command'; readonly command: OtaCommand }
  /** A command was ignored: it is not a JSON object, or the device is configured to ignore commands. */
  | { readonly kind: 'ignoredCommand' }
  | { readonly kind: 'accepted'; readonly version: string }
  | { readonly kind: 'downloading'; readonly version: string; readonly progress: Progress }
  /** The image is written and the result was sent. The reboot follows after 3 s. */
  | { readonly kind: 'installed'; readonly version: string }
  /** The update failed. */
  | { readonly kind: 'failed'; readonly version: string; readonly code: ResultCode; readonly reason: string }
  | { readonly kind: 'rebooting'; readonly version: string }
  /** The new image runs and reports this version. */
  | { readonly kind: 'running'; readonly version: string }
  | { readonly kind: 'crashed'; readonly version: string }
  /** The bootloader rolled back from `from` to `version`. */
  | { readonly kind: 'rolledBack'; readonly version: string; readonly from: string }
  /** The device does not boot again. */
  | { readonly kind: 'died'; readonly version: string }
  | { readonly kind: 'asleep'; readonly seconds: number }
  /** The window ended with a DISCONNECT; the device runs on, and connects again after this time. */
  | { readonly kind: 'away'; readonly seconds: number }
  | { readonly kind: 'stopped' };

/** A change with the device and the time. */
export type DeviceEvent = DeviceStateChange & {
  readonly deviceId: string;
  /** Milliseconds since the Unix epoch, on the clock of the device. */
  readonly at: number;
};

/** Events of a device and of a fleet, for `on('state', …)`. */
export interface DeviceEvents {
  state: [DeviceEvent];
}
