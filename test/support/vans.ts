import { buildImage } from '../../fleet/build-image.ts';
import type { DeviceEvent } from '../../fleet/device-events.ts';
import type { Behaviours, VirtualDeviceOptions } from '../../fleet/device-options.ts';
import type { VirtualDevice } from '../../fleet/virtual-device.ts';
import { addRollout } from './rows.ts';
import type { TestSystem } from './system.ts';

/** A device update with the name of its rollout. */
export interface Update {
  readonly rollout: string;
  readonly version: string;
  readonly status: string;
  readonly attempt: number;
  readonly sends: number;
  readonly reason: string | null;
}

/** A heartbeat each five minutes, which is the probation: the tests advance the clock by at least that. */
const QUIET: Partial<VirtualDeviceOptions> = { heartbeatSeconds: 300, keepaliveSeconds: 60, statusForm: '1.4.2' };
const QUICK: Behaviours = { slowRebootSeconds: 0.2 };
/** The download does not finish until a test advances the time. */
export const SLOW: Behaviours = { bytesPerSecond: 100 };

/** Devices of one model, on version 1.0.0 at first. Each test uses its own model, so tests do not affect each other. */
export class Vans {
  readonly model: string;
  readonly #devices = new Map<string, VirtualDevice>();
  readonly #system: TestSystem;
  readonly #commands = new Map<string, string[]>();

  constructor(system: TestSystem, model: string) {
    this.#system = system;
    this.model = model;
  }

  /** Starts devices and waits until they are registered. */
  async arrive(vans: Readonly<Record<string, Behaviours>>, options: Partial<VirtualDeviceOptions> = {}): Promise<void> {
    const { model } = this;
    await Promise.all(
      Object.entries(vans).map(async ([deviceId, behaviours]) => {
        const all = { ...QUIET, ...options, deviceId, model, behaviours: { ...QUICK, ...behaviours } };
        const device = await this.#system.device(all);
        const commands: string[] = [];
        device.on('state', (event) => event.kind === 'command' && commands.push(event.command.version));
        this.#devices.set(deviceId, device);
        this.#commands.set(deviceId, commands);
      }),
    );
    await this.#untilNone(`SELECT FROM (VALUES ${Object.keys(vans).map((id) => `('${id}')`)}) AS v(id)
      WHERE id NOT IN (SELECT device_id FROM devices WHERE current_firmware_version <> 'unknown')`);
  }

  device(deviceId: string): VirtualDevice {
    const device = this.#devices.get(deviceId);
    if (device === undefined) throw new Error(`there is no ${deviceId} among ${[...this.#devices.keys()]}`);
    return device;
  }

  /** Advances the time until the devices sleep. */
  fallAsleep(...deviceIds: string[]): Promise<void> {
    return this.#passUntil(deviceIds, 'asleep', 'awakeSeconds');
  }

  /** Advances the time until the devices are awake and connected. */
  wake(...deviceIds: string[]): Promise<void> {
    return this.#passUntil(deviceIds, 'connected', 'asleepSeconds');
  }

  /** Uploads an image and waits for its release. */
  async release(version: string, metadata: Record<string, string> = {}, codeBytes = 20_000): Promise<void> {
    const image = buildImage({ version, project: this.model, codeBytes });
    await this.#system.upload(`firmware/${version}/${this.model}.bin`, image, metadata);
    await this.#system.until(
      `SELECT 1 FROM firmware_releases WHERE device_model = '${this.model}' AND version = '${version}'`,
    );
  }

  /** Inserts a rollout with these columns. @returns its id */
  rollOut(name: string, version: string, columns: Record<string, unknown> = {}): Promise<number> {
    return addRollout(this.#system.database, name, version, { device_model: this.model, ...columns });
  }

  /** Advances the time in minutes until a slow device has its image. */
  async finishDownload(deviceId: string): Promise<void> {
    const isDownloading = async () => (await this.statuses())[deviceId]?.at(-1) === 'downloading';
    while (await isDownloading()) await this.#system.advance({ minutes: 1 });
  }

  /** Waits until the devices (by default all) have installed their images or failed, and have rebooted. */
  async update(...deviceIds: string[]): Promise<void> {
    const ids = deviceIds.length === 0 ? [...this.#devices.keys()] : deviceIds;
    const open = `SELECT FROM device_update_status WHERE device_id IN (${ids.map((id) => `'${id}'`)}) AND completed_at IS NULL`;
    await this.#untilNone(`${open} AND status IN ('sent', 'downloading', 'downloaded', 'installing')`);
    await this.#system.advance({ minutes: 1 });
    await this.#untilNone(`${open} AND status = 'success' AND booted_at IS NULL`);
  }

  /** Advances the time beyond the probation, waits for the statuses that prove the devices (by default all), and runs the orchestrator. */
  async prove(...deviceIds: string[]): Promise<void> {
    const ids = deviceIds.length === 0 ? [...this.#devices.keys()] : deviceIds;
    await this.#system.advance({ minutes: 6 });
    await this.#untilNone(
      `SELECT FROM device_update_status WHERE device_id IN (${ids.map((id) => `'${id}'`)}) AND completed_at IS NULL AND booted_at IS NOT NULL`,
    );
    await this.#system.later(0);
  }

  /** Versions of the commands of each device, in order. Devices without a command are omitted. */
  commands(): Record<string, readonly string[]> {
    return Object.fromEntries([...this.#commands].filter(([, versions]) => versions.length > 0));
  }

  /** The version of each device in the database. */
  async versions(): Promise<Record<string, string>> {
    const rows = await this.#system.database.query<{ device_id: string; version: string }>(
      `SELECT device_id, current_firmware_version AS version FROM devices WHERE device_model = '${this.model}' ORDER BY device_id`,
    );
    return Object.fromEntries(rows.map(({ device_id, version }) => [device_id, version]));
  }

  /** The statuses of the updates of each device, oldest first. */
  async statuses(): Promise<Record<string, readonly string[]>> {
    const ids = [...this.#devices.keys()];
    const updates = await Promise.all(ids.map((id) => this.updatesOf(id)));
    return Object.fromEntries(ids.map((id, i) => [id, (updates[i] ?? []).map(({ status }) => status)]));
  }

  /** All updates of a device, oldest first. */
  updatesOf(deviceId: string): Promise<Update[]> {
    return this.#system.database.query(
      `SELECT r.name AS rollout, u.firmware_version AS version, u.status, u.attempt, u.sends, u.error_message AS reason
       FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
       WHERE device_id = :deviceId ORDER BY u.id`,
      { deviceId },
    );
  }

  async #passUntil(
    deviceIds: readonly string[],
    kind: DeviceEvent['kind'],
    time: 'awakeSeconds' | 'asleepSeconds',
  ): Promise<void> {
    const devices = deviceIds.map((id) => this.device(id));
    const happened = devices.map((device) => {
      return new Promise<void>((resolve) => device.on('state', (event) => event.kind === kind && resolve()));
    });
    const seconds = devices.map(({ profile }) => profile.behaviours.sleep?.[time] ?? 0);
    await this.#system.advance({ seconds: Math.max(...seconds) });
    await Promise.all(happened);
  }

  async #untilNone(sql: string): Promise<void> {
    await this.#system.until(
      `SELECT count(*)::integer AS left FROM (${sql}) AS found`,
      (row: { left: number }) => row.left === 0,
    );
  }
}

/** The types of the events of a rollout, in order. */
export async function historyOf(system: TestSystem, rolloutId: number): Promise<string[]> {
  const events = await system.database.query<{ event_type: string }>(
    'SELECT event_type FROM ota_events WHERE rollout_id = :rolloutId AND device_id IS NULL ORDER BY id',
    { rolloutId },
  );
  return events.map(({ event_type }) => event_type);
}
