import { type OtaCommand, parseCommand } from './command.ts';
import type { CommandQueue } from './command-queue.ts';
import type { DeviceHappening } from './device-events.ts';
import type { DeviceProfile } from './device-options.ts';
import { DeviceVoice } from './device-voice.ts';
import { firstToFinish, type Task } from './first-to-finish.ts';
import { installImage, type OpenImage } from './install-image.ts';
import { MqttSession, type SessionOptions } from './mqtt-session.ts';
import type { OtaOutcome, Progress } from './ota-payload.ts';
import { LAST_WILL } from './status-payload.ts';

const RECONNECT_MS = 5000;
const BEFORE_REBOOT_MS = 3000;

/** Why a device stops running what it booted. */
export type BootEnd =
  | { readonly kind: 'updated'; readonly version: string }
  | { readonly kind: 'crashed' }
  | { readonly kind: 'asleep' };

/** What a device takes with it from one boot to the next, and what is to become of this one. */
export interface BootContext {
  readonly profile: DeviceProfile;
  readonly version: string;
  /** When this boot crashes; undefined: it does not. */
  readonly crashesAfterSeconds: number | undefined;
  readonly commands: CommandQueue;
  readonly open: OpenImage;
  readonly tell: (happening: DeviceHappening) => void;
  /** The session of the last boot, if that ended in silence: the broker gives it up for the new one. */
  readonly abandoned: MqttSession | undefined;
}

/** A device from power-on to the next reset: it connects, sends its heartbeats and obeys commands, one at a time. */
export class Boot {
  private readonly voice: DeviceVoice;
  /** While an image comes in nothing else is served, neither heartbeats nor what the broker sends. */
  private installing: Promise<unknown> | undefined;

  constructor(private readonly context: BootContext) {
    this.voice = new DeviceVoice(context.profile, context.version, context.tell);
  }

  /** The connection that this boot made last. */
  get session(): MqttSession | undefined {
    return this.voice.session;
  }

  /** Lives until something ends it; throws the signal's reason when the device is stopped. */
  run(signal: AbortSignal): Promise<BootEnd> {
    const { crashesAfterSeconds, profile } = this.context;
    const tasks: Task<BootEnd>[] = [(either) => this.stayConnected(either), (either) => this.obey(either)];
    if (crashesAfterSeconds !== undefined) {
      tasks.push(async (either) => {
        await profile.clock.sleep(crashesAfterSeconds * 1000, either);
        return { kind: 'crashed' };
      });
    }
    return firstToFinish(signal, ...tasks);
  }

  private async stayConnected(signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.connectAndStay(signal).catch((error: unknown) => {
        signal.throwIfAborted();
        this.session?.release();
        this.context.tell({ kind: 'refused', reason: error instanceof Error ? error.message : String(error) });
      });
      await this.context.profile.clock.sleep(RECONNECT_MS, signal);
    }
  }

  private async connectAndStay(signal: AbortSignal): Promise<void> {
    const { abandoned, tell, version, profile } = this.context;
    const session = await MqttSession.open(this.sessionOptions(), signal);
    this.voice.session = session;
    abandoned?.release();
    await session.subscribe(this.voice.topics.commands);
    this.voice.sendStatus();
    tell({ kind: 'connected', version });
    await firstToFinish(
      signal,
      (either) => this.sendHeartbeats(profile.heartbeatSeconds, either),
      (either) => session.untilClosed(either),
    );
    tell({ kind: 'disconnected' });
  }

  private sessionOptions(): SessionOptions {
    const { profile, tell } = this.context;
    return {
      connection: profile.connection,
      clientId: profile.deviceId,
      keepaliveSeconds: profile.keepaliveSeconds,
      will: { topic: this.voice.topics.status, payload: LAST_WILL },
      packetLimit: profile.packetLimit,
      received: (topic, payload) => this.receive(topic, payload),
      dropped: (topic, bytes) => tell({ kind: 'droppedPacket', topic, bytes }),
    };
  }

  private async sendHeartbeats(everySeconds: number, signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.context.profile.clock.sleep(everySeconds * 1000, signal);
      await this.installing;
      this.voice.sendStatus();
    }
  }

  /** Resolves when the message is dealt with, which is when PubSubClient acknowledges it, subscribed or not. */
  private async receive(topic: string, payload: Uint8Array): Promise<void> {
    await this.installing;
    if (!this.voice.topics.commands.includes(topic)) return;
    const { tell, commands, profile } = this.context;
    const command = parseCommand(payload);
    if (command === undefined || profile.behaviours.ignoresCommands) return tell({ kind: 'ignoredCommand' });
    tell({ kind: 'command', command });
    this.voice.sendAccepted(command);
    tell({ kind: 'accepted', version: command.version });
    commands.add(command);
  }

  private async obey(signal: AbortSignal): Promise<BootEnd> {
    const { commands, profile } = this.context;
    for (;;) {
      const command = commands.take();
      if (command === undefined) {
        if (await this.tiresOfWaiting(signal)) return { kind: 'asleep' };
        continue;
      }
      const outcome = await this.update(command, signal);
      if (outcome.code !== 0) continue;
      await profile.clock.sleep(BEFORE_REBOOT_MS, signal);
      return { kind: 'updated', version: command.version };
    }
  }

  /** Waits for a command; true when the time to sleep comes first. An update that runs is never slept through. */
  private async tiresOfWaiting(signal: AbortSignal): Promise<boolean> {
    const { commands, profile } = this.context;
    const { sleep } = profile.behaviours;
    const hear: Task<boolean> = (either) => commands.untilFilled(either).then(() => false);
    if (sleep === undefined) return hear(signal);
    const leftMs = this.voice.bootedAt + sleep.awakeSeconds * 1000 - profile.clock.now();
    const tire: Task<boolean> = (either) => profile.clock.sleep(Math.max(0, leftMs), either).then(() => true);
    return firstToFinish(signal, hear, tire);
  }

  private async update(command: OtaCommand, signal: AbortSignal): Promise<OtaOutcome> {
    const { version } = command;
    const held: Progress[] = [];
    const installation = this.install(command, held, signal);
    this.installing = installation.catch(() => {});
    const outcome = await installation;
    for (const progress of held) this.voice.sendProgress(progress);
    this.voice.sendResult(command, outcome);
    const { code, why } = outcome;
    this.context.tell(code === 0 ? { kind: 'written', version } : { kind: 'failed', version, code, why });
    return outcome;
  }

  private install(command: OtaCommand, held: Progress[], signal: AbortSignal): Promise<OtaOutcome> {
    const { profile, tell, open } = this.context;
    const { chip, otaPartitionBytes, clock, behaviours } = profile;
    const report = (progress: Progress) => {
      tell({ kind: 'downloading', version: command.version, progress });
      if (behaviours.progressInBurst) held.push(progress);
      else this.voice.sendProgress(progress);
    };
    const { bytesPerSecond } = behaviours;
    return installImage({ command, chip, otaPartitionBytes, bytesPerSecond, clock, open, report }, signal);
  }
}
