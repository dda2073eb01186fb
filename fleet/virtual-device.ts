import { EventEmitter } from 'node:events';
import { Boot, type BootEnd } from './boot.ts';
import { CommandQueue } from './command-queue.ts';
import type { DeviceEvents, DeviceHappening } from './device-events.ts';
import { type DeviceProfile, profileOf, type VirtualDeviceOptions } from './device-options.ts';
import { imageDownloader } from './download-image.ts';
import { failingFirst } from './failing-first.ts';
import type { OpenImage } from './install-image.ts';
import type { MqttSession } from './mqtt-session.ts';

const REBOOT_SECONDS = 5;

/** A new image that has not proved itself: what the command called it, and what the bootloader would go back to. */
interface Trial {
  readonly installed: string;
  readonly previousVersion: string;
}

/**
 * An ESP32 (or ESP8266) that exists as a process only: it speaks MQTT over TLS to a broker and HTTP to a download
 * server as the field firmware does, reboots, sleeps and fails. Listen to `state` to see what happens to it.
 */
export class VirtualDevice extends EventEmitter<DeviceEvents> {
  readonly profile: DeviceProfile;
  private readonly commands = new CommandQueue();
  private readonly open: OpenImage;
  private version: string;
  private trial: Trial | undefined;
  private abandoned: MqttSession | undefined;
  private power: AbortController | undefined;
  private life: Promise<void> = Promise.resolve();

  constructor(options: VirtualDeviceOptions) {
    super();
    this.profile = profileOf(options);
    this.version = options.firmwareVersion;
    this.open = failingFirst(this.profile.behaviours.downloadFailsTimes ?? 0, imageDownloader(this.profile));
  }

  get deviceId(): string {
    return this.profile.deviceId;
  }

  /** The version that the running image calls itself. */
  get firmwareVersion(): string {
    return this.version;
  }

  /** Switches the device on; does nothing if it is on. It connects by itself, as often as it takes. */
  start(): void {
    if (this.power !== undefined) return;
    this.power = new AbortController();
    this.life = this.live(this.power.signal);
  }

  /** Switches the device off with a proper DISCONNECT and resolves when all its connections are closed. */
  async stop(): Promise<void> {
    this.power?.abort();
    this.power = undefined;
    await this.life;
  }

  private async live(signal: AbortSignal): Promise<void> {
    try {
      this.version = (await this.profile.persist?.get(this.deviceId)) ?? this.version;
      while (await this.bootOnce(signal));
    } catch (error) {
      if (!signal.aborted) throw error;
      this.tell({ kind: 'stopped' });
    } finally {
      this.abandoned?.release();
    }
  }

  /** One boot and what follows it; false when the device never comes back. */
  private async bootOnce(signal: AbortSignal): Promise<boolean> {
    const { profile, version, commands, open, abandoned, trial } = this;
    const tell = (happening: DeviceHappening) => this.tell(happening);
    const crashesAfterSeconds = trial && profile.behaviours.crashesAfterSeconds?.(trial.installed);
    const boot = new Boot({ profile, version, commands, open, tell, abandoned, crashesAfterSeconds });
    let end: BootEnd | undefined;
    try {
      end = await boot.run(signal);
    } finally {
      await this.leave(boot.session, end);
    }
    return this.follow(end, signal);
  }

  /** A reboot and a stop say goodbye; a crash and deep sleep leave the broker waiting. */
  private async leave(session: MqttSession | undefined, end: BootEnd | undefined): Promise<void> {
    if (end === undefined || end.kind === 'updated') return session?.hangUp();
    session?.goSilent();
    this.abandoned = session ?? this.abandoned;
  }

  private async follow(end: BootEnd, signal: AbortSignal): Promise<boolean> {
    if (end.kind === 'updated') return this.bootInto(end.version, signal);
    if (end.kind === 'crashed') await this.recover(signal);
    else await this.sleep(signal);
    return true;
  }

  private async bootInto(version: string, signal: AbortSignal): Promise<boolean> {
    const { bootFails, dies } = this.profile.behaviours;
    this.tell({ kind: 'rebooting', version });
    await this.reboot(signal);
    if (dies?.(version)) {
      this.tell({ kind: 'died', version });
      return false;
    }
    if (bootFails?.(version)) {
      await this.reboot(signal);
      this.tell({ kind: 'rolledBack', version: this.version, from: version });
      return true;
    }
    await this.runNew(version);
    return true;
  }

  private async runNew(installed: string): Promise<void> {
    this.trial = { installed, previousVersion: this.version };
    await this.remember(this.profile.behaviours.liesAboutVersion?.(installed) ?? installed);
    this.tell({ kind: 'running', version: this.version });
  }

  private async recover(signal: AbortSignal): Promise<void> {
    const from = this.version;
    this.tell({ kind: 'crashed', version: from });
    await this.reboot(signal);
    await this.remember(this.trial?.previousVersion ?? from);
    this.trial = undefined;
    this.tell({ kind: 'rolledBack', version: this.version, from });
  }

  private async sleep(signal: AbortSignal): Promise<void> {
    const seconds = this.profile.behaviours.sleep?.asleepSeconds ?? 0;
    this.tell({ kind: 'asleep', seconds });
    await this.profile.clock.sleep(seconds * 1000, signal);
  }

  private reboot(signal: AbortSignal): Promise<void> {
    const seconds = this.profile.behaviours.slowRebootSeconds ?? REBOOT_SECONDS;
    return this.profile.clock.sleep(seconds * 1000, signal);
  }

  private async remember(version: string): Promise<void> {
    this.version = version;
    await this.profile.persist?.set(this.deviceId, version);
  }

  private tell(happening: DeviceHappening): void {
    this.emit('state', { ...happening, deviceId: this.deviceId, at: this.profile.clock.now() });
  }
}
