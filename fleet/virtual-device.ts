import { EventEmitter } from 'node:events';
import { Boot, type BootEnd } from './boot.ts';
import { CommandQueue } from './command-queue.ts';
import type { DeviceEvents, DeviceStateChange } from './device-events.ts';
import { type DeviceProfile, profileOf, type VirtualDeviceOptions } from './device-options.ts';
import { imageDownloader } from './download-image.ts';
import { failFirstDownloads } from './fail-first-downloads.ts';
import type { OpenImage } from './install-image.ts';
import type { MqttSession } from './mqtt-session.ts';

const REBOOT_SECONDS = 5;

/** A new image that is not yet proven: the version of the command, and the version that the bootloader would restore. */
interface Trial {
  readonly installed: string;
  readonly previousVersion: string;
}

/**
 * A simulated ESP32 or ESP8266. It uses MQTT over TLS and HTTP downloads like the field firmware, and it reboots, sleeps
 * and fails. It emits `state` for every change.
 */
export class VirtualDevice extends EventEmitter<DeviceEvents> {
  readonly profile: DeviceProfile;
  private readonly commands = new CommandQueue();
  private readonly open: OpenImage;
  private version: string;
  private trial: Trial | undefined;
  /** The version whose image boots at the next reset, although its installation failed. */
  private unverified: string | undefined;
  private staleSession: MqttSession | undefined;
  private power: AbortController | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(options: VirtualDeviceOptions) {
    super();
    this.profile = profileOf(options);
    this.version = options.firmwareVersion;
    this.open = failFirstDownloads(this.profile.behaviours.downloadFailsTimes ?? 0, imageDownloader(this.profile));
  }

  get deviceId(): string {
    return this.profile.deviceId;
  }

  /** The version that the running image reports. */
  get firmwareVersion(): string {
    return this.version;
  }

  /** Switches the device on. Does nothing if it is on. The device retries its connection until it succeeds. */
  start(): void {
    if (this.power !== undefined) return;
    this.power = new AbortController();
    this.running = this.runUntilStopped(this.power.signal);
  }

  /** Switches the device off with a DISCONNECT. Resolves when all its connections are closed. */
  async stop(): Promise<void> {
    this.power?.abort();
    this.power = undefined;
    await this.running;
  }

  private async runUntilStopped(signal: AbortSignal): Promise<void> {
    try {
      this.version = (await this.profile.persist?.get(this.deviceId)) ?? this.version;
      while (await this.bootOnce(signal));
    } catch (error) {
      if (!signal.aborted) throw error;
      this.notify({ kind: 'stopped' });
    } finally {
      this.staleSession?.release();
    }
  }

  /** Runs one boot and the actions after it. @returns false if the device does not boot again */
  private async bootOnce(signal: AbortSignal): Promise<boolean> {
    if (this.unverified !== undefined) await this.startTrial(this.unverified);
    this.unverified = undefined;
    const { profile, version, commands, open, staleSession, trial } = this;
    const selectUnverified = (selected: string) => {
      this.unverified = selected;
    };
    const notify = (change: DeviceStateChange) => this.notify(change);
    const crashesAfterSeconds =
      this.crashLoop?.upSeconds ?? (trial && profile.behaviours.crashesAfterSeconds?.(trial.installed));
    const boot = new Boot({
      ...{ profile, version, commands, open, selectUnverified, notify, staleSession, crashesAfterSeconds },
    });
    let end: BootEnd | undefined;
    try {
      end = await boot.run(signal);
    } finally {
      await this.endSession(boot.session, end);
    }
    return this.afterBoot(end, signal);
  }

  /** Ends the session: with DISCONNECT before a reboot and at a stop, silently after a crash and in deep sleep. */
  private async endSession(session: MqttSession | undefined, end: BootEnd | undefined): Promise<void> {
    if (end === undefined || end.kind === 'updated') return session?.disconnect();
    session?.goSilent();
    this.staleSession = session ?? this.staleSession;
  }

  private async afterBoot(end: BootEnd, signal: AbortSignal): Promise<boolean> {
    if (end.kind === 'updated') return this.bootInto(end.version, signal);
    if (end.kind === 'crashed') await (this.crashLoop === undefined ? this.recover(signal) : this.crash(signal));
    else await this.sleep(signal);
    return true;
  }

  private async bootInto(version: string, signal: AbortSignal): Promise<boolean> {
    const { bootFails, dies } = this.profile.behaviours;
    this.notify({ kind: 'rebooting', version });
    await this.reboot(signal);
    if (dies?.(version)) {
      this.notify({ kind: 'died', version });
      return false;
    }
    if (bootFails?.(version)) {
      await this.reboot(signal);
      this.notify({ kind: 'rolledBack', version: this.version, from: version });
      return true;
    }
    await this.startTrial(version);
    return true;
  }

  private async startTrial(installed: string): Promise<void> {
    this.trial = { installed, previousVersion: this.version };
    await this.saveVersion(this.profile.behaviours.embeddedVersion?.(installed) ?? installed);
    this.notify({ kind: 'running', version: this.version });
  }

  private get crashLoop() {
    return this.profile.behaviours.crashLoop?.(this.version);
  }

  /** Crashes and boots the same image again. What was in memory is lost. */
  private async crash(signal: AbortSignal): Promise<void> {
    this.notify({ kind: 'crashed', version: this.version });
    this.commands.clear();
    await this.profile.clock.sleep((this.crashLoop?.downSeconds ?? 0) * 1000, signal);
  }

  private async recover(signal: AbortSignal): Promise<void> {
    const from = this.version;
    this.notify({ kind: 'crashed', version: from });
    await this.reboot(signal);
    await this.saveVersion(this.trial?.previousVersion ?? from);
    this.trial = undefined;
    this.notify({ kind: 'rolledBack', version: this.version, from });
  }

  private async sleep(signal: AbortSignal): Promise<void> {
    const seconds = this.profile.behaviours.sleep?.asleepSeconds ?? 0;
    this.notify({ kind: 'asleep', seconds });
    await this.profile.clock.sleep(seconds * 1000, signal);
  }

  private reboot(signal: AbortSignal): Promise<void> {
    const seconds = this.profile.behaviours.slowRebootSeconds ?? REBOOT_SECONDS;
    return this.profile.clock.sleep(seconds * 1000, signal);
  }

  private async saveVersion(version: string): Promise<void> {
    this.version = version;
    await this.profile.persist?.set(this.deviceId, version);
  }

  private notify(change: DeviceStateChange): void {
    this.emit('state', { ...change, deviceId: this.deviceId, at: this.profile.clock.now() });
  }
}
