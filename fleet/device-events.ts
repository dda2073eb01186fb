import type { OtaCommand } from './command.ts';
import type { ResultCode } from './ota-failure.ts';
import type { Progress } from './ota-payload.ts';

/** What happens to a virtual device, for those who watch it: nothing here is known to the backend. */
export type DeviceHappening =
  /** Connected and subscribed; the status with this version is on its way. */
  | { readonly kind: 'connected'; readonly version: string }
  /** The connection could not be made; tried again soon. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The connection ended unasked. */
  | { readonly kind: 'disconnected' }
  /** A PUBLISH over the packet limit, unread and unacknowledged. */
  | { readonly kind: 'droppedPacket'; readonly topic: string; readonly bytes: number }
  /** A message of the device's own that never left. */
  | { readonly kind: 'lostMessage'; readonly topic: string }
  | { readonly kind: 'command'; readonly command: OtaCommand }
  /** A command that is no JSON object, or that the device is made to ignore. */
  | { readonly kind: 'ignoredCommand' }
  | { readonly kind: 'accepted'; readonly version: string }
  | { readonly kind: 'downloading'; readonly version: string; readonly progress: Progress }
  /** The image is written and the result sent; the reboot follows in 3 s. */
  | { readonly kind: 'written'; readonly version: string }
  /** The update ended without a new image. */
  | { readonly kind: 'failed'; readonly version: string; readonly code: ResultCode; readonly why: string }
  | { readonly kind: 'rebooting'; readonly version: string }
  /** The new image runs, and reports this version from now on. */
  | { readonly kind: 'running'; readonly version: string }
  | { readonly kind: 'crashed'; readonly version: string }
  /** The bootloader went back: `version` runs again, not `from`. */
  | { readonly kind: 'rolledBack'; readonly version: string; readonly from: string }
  /** The device never comes back. */
  | { readonly kind: 'died'; readonly version: string }
  | { readonly kind: 'asleep'; readonly seconds: number }
  | { readonly kind: 'stopped' };

/** A happening with its device and its time. */
export type DeviceEvent = DeviceHappening & {
  readonly deviceId: string;
  /** Milliseconds since the Unix epoch, by the device's injected clock. */
  readonly at: number;
};

/** The events of a device and of a fleet, for `on('state', …)`. */
export interface DeviceEvents {
  state: [DeviceEvent];
}
