import { type OtaCommand, parseCommand } from './command.ts';
import type { CommandQueue } from './command-queue.ts';
import type { ConnectionWindow } from './connect-habits.ts';
import type { DeviceStateChange } from './device-events.ts';
import { DeviceMessenger } from './device-messenger.ts';
import type { DeviceProfile } from './device-options.ts';
import { firstToFinish, type Task } from './first-to-finish.ts';
import { installImage, type OpenImage } from './install-image.ts';
import { MqttSession, type SessionOptions } from './mqtt-session.ts';
import type { OtaOutcome, Progress } from './ota-payload.ts';
import { LAST_WILL } from './status-payload.ts';

const RECONNECT_MS = 5000;
const BEFORE_REBOOT_MS = 3000;

/** How a boot ends. */
export type BootEnd =
  | { readonly kind: 'updated'; readonly version: string }
  | { readonly kind: 'crashed' }
  | { readonly kind: 'asleep' };

/** State that survives a reboot, and the parameters of this boot. */
export interface BootContext {
  readonly profile: DeviceProfile;
  readonly version: string;
  /** When this boot crashes; undefined means never. */
  readonly crashesAfterSeconds: number | undefined;
  readonly commands: CommandQueue;
  readonly open: OpenImage;
  /** Called when the image of a version boots at the next reset, although its installation failed. */
  readonly selectUnverified: (version: string) => void;
  readonly notify: (change: DeviceStateChange) => void;
  /**
   * The session of the previous boot, if it ended without a DISCONNECT. The broker closes it when the device connects
   * again.
   */
  readonly staleSession: MqttSession | undefined;
}

/** A device from power-on to the next reset: it connects, sends heartbeats, and runs commands one at a time. */
export class Boot {
  private readonly messenger: DeviceMessenger;
  /** During an installation the device sends no heartbeats and handles no messages. */
  private installing: Promise<unknown> | undefined;
  /** From a command to its failure, or to the reboot. */
  private isUpdating = false;

  constructor(private readonly context: BootContext) {
    this.messenger = new DeviceMessenger(context.profile, context.version, context.notify);
  }

  /** The last connection of this boot. */
  get session(): MqttSession | undefined {
    return this.messenger.session;
  }

  /** Runs until the boot ends. @throws the signal's reason if the device is stopped */
  run(signal: AbortSignal): Promise<BootEnd> {
    const { crashesAfterSeconds, profile } = this.context;
    const tasks: Task<BootEnd>[] = [
      (taskSignal) => this.stayConnected(taskSignal),
      (taskSignal) => this.runCommands(taskSignal),
    ];
    if (crashesAfterSeconds !== undefined) {
      tasks.push(async (taskSignal) => {
        await profile.clock.sleep(crashesAfterSeconds * 1000, taskSignal);
        return { kind: 'crashed' };
      });
    }
    return firstToFinish(signal, ...tasks);
  }

  private async stayConnected(signal: AbortSignal): Promise<never> {
    for (;;) {
      const awayMs = await this.connectAndStay(signal).catch((error: unknown) => {
        signal.throwIfAborted();
        this.session?.release();
        this.context.notify({ kind: 'refused', reason: error instanceof Error ? error.message : String(error) });
        return RECONNECT_MS;
      });
      await this.context.profile.clock.sleep(awayMs, signal);
    }
  }

  /** @returns milliseconds until the next connection */
  private async connectAndStay(signal: AbortSignal): Promise<number> {
    const { staleSession, notify, version, profile } = this.context;
    const session = await MqttSession.open(this.sessionOptions(), signal);
    this.messenger.session = session;
    staleSession?.release();
    await this.subscribe(session);
    this.messenger.sendStatus();
    this.messenger.sendConfigAndSensors();
    notify({ kind: 'connected', version });
    const { window } = profile;
    const end = await firstToFinish<'lost' | ConnectionWindow>(
      signal,
      (taskSignal) => this.sendHeartbeats(profile.heartbeatSeconds, taskSignal),
      (taskSignal) => session.untilClosed(taskSignal).then(() => 'lost'),
      ...(window === undefined ? [] : [(taskSignal: AbortSignal) => this.untilWindowEnds(window, taskSignal)]),
    );
    if (end === 'lost') {
      notify({ kind: 'disconnected' });
      return RECONNECT_MS;
    }
    await session.disconnect();
    const seconds = end.everySeconds - end.openSeconds;
    notify({ kind: 'away', seconds });
    return seconds * 1000;
  }

  private async subscribe(session: MqttSession): Promise<void> {
    const { habits } = this.context.profile;
    if (habits === undefined) return session.subscribe(this.messenger.topics.commands, 1);
    for (const topic of habits.subscribes) await session.subscribe([this.messenger.fill(topic)], 0);
  }

  /** A window stays open during an update. */
  private async untilWindowEnds(window: ConnectionWindow, signal: AbortSignal): Promise<ConnectionWindow> {
    const { clock } = this.context.profile;
    await clock.sleep(window.openSeconds * 1000, signal);
    while (this.isUpdating) await clock.sleep(1000, signal);
    return window;
  }

  private sessionOptions(): SessionOptions {
    const { profile, notify } = this.context;
    return {
      connection: profile.connection,
      clientId: profile.deviceId,
      keepaliveSeconds: profile.keepaliveSeconds,
      will: profile.hasLastWill ? { topic: this.messenger.topics.status, payload: LAST_WILL } : undefined,
      packetLimit: profile.packetLimit,
      received: (topic, payload) => this.receive(topic, payload),
      dropped: (topic, bytes) => notify({ kind: 'droppedPacket', topic, bytes }),
    };
  }

  private async sendHeartbeats(everySeconds: number, signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.context.profile.clock.sleep(everySeconds * 1000, signal);
      await this.installing;
      this.messenger.sendStatus();
    }
  }

  /** Resolves when the message is handled. PubSubClient acknowledges it then, whether the device subscribed or not. */
  private async receive(topic: string, payload: Uint8Array): Promise<void> {
    await this.installing;
    if (!this.messenger.topics.commands.includes(topic)) return;
    const { notify, commands, profile } = this.context;
    const command = parseCommand(payload);
    if (command === undefined || profile.behaviours.ignoresCommands) return notify({ kind: 'ignoredCommand' });
    notify({ kind: 'command', command });
    this.messenger.sendAccepted(command);
    notify({ kind: 'accepted', version: command.version });
    commands.add(command);
  }

  private async runCommands(signal: AbortSignal): Promise<BootEnd> {
    const { commands, profile } = this.context;
    for (;;) {
      const command = commands.take();
      if (command === undefined) {
        if (await this.sleepTimerFires(signal)) return { kind: 'asleep' };
        continue;
      }
      this.isUpdating = true;
      const outcome = await this.update(command, signal);
      if (outcome.bootsUnverified) this.context.selectUnverified(command.version);
      this.isUpdating = outcome.code === 0;
      if (outcome.code !== 0) continue;
      await profile.clock.sleep(BEFORE_REBOOT_MS, signal);
      return { kind: 'updated', version: command.version };
    }
  }

  /** Waits for a command. @returns true if the sleep timer fires first; the device never sleeps during an update */
  private async sleepTimerFires(signal: AbortSignal): Promise<boolean> {
    const { commands, profile } = this.context;
    const { sleep } = profile.behaviours;
    const commandArrives: Task<boolean> = (taskSignal) => commands.untilFilled(taskSignal).then(() => false);
    if (sleep === undefined) return commandArrives(signal);
    const leftMs = this.messenger.bootedAt + sleep.awakeSeconds * 1000 - profile.clock.now();
    const timeToSleep: Task<boolean> = (taskSignal) =>
      profile.clock.sleep(Math.max(0, leftMs), taskSignal).then(() => true);
    return firstToFinish(signal, commandArrives, timeToSleep);
  }

  private async update(command: OtaCommand, signal: AbortSignal): Promise<OtaOutcome> {
    const { version } = command;
    const held: Progress[] = [];
    const installation = this.install(command, held, signal);
    this.installing = installation.catch(() => {});
    const outcome = await installation;
    if (this.context.profile.behaviours.stallLosesResult?.(version)) this.session?.release();
    for (const progress of held) this.messenger.sendProgress(progress);
    this.messenger.sendResult(command, outcome);
    const { code, reason } = outcome;
    this.context.notify(code === 0 ? { kind: 'installed', version } : { kind: 'failed', version, code, reason });
    return outcome;
  }

  private install(command: OtaCommand, held: Progress[], signal: AbortSignal): Promise<OtaOutcome> {
    const { profile, notify, open } = this.context;
    const { chip, otaPartitionBytes, selectsBeforeVerifying, clock, behaviours, model, manifestKey } = profile;
    const report = (progress: Progress) => {
      notify({ kind: 'downloading', version: command.version, progress });
      if (behaviours.progressInBurst) held.push(progress);
      else this.messenger.sendProgress(progress);
    };
    const { bytesPerSecond } = behaviours;
    const manifestOf = manifestKey === undefined ? undefined : { publicKey: manifestKey, model };
    const target = { chip, otaPartitionBytes, selectsBeforeVerifying, manifestOf };
    return installImage({ command, ...target, bytesPerSecond, clock, open, report }, signal);
  }
}
