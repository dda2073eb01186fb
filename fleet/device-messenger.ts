import type { Clock } from './clock.ts';
import type { OtaCommand } from './command.ts';
import type { DeviceStateChange } from './device-events.ts';
import type { DeviceProfile } from './device-options.ts';
import type { MqttSession } from './mqtt-session.ts';
import {
  acceptedPayload,
  type OtaContext,
  type OtaOutcome,
  type Progress,
  progressPayload,
  resultPayload,
} from './ota-payload.ts';
import { configPayload, deviceTimestamp, statusPayload } from './status-payload.ts';
import { type DeviceTopics, topicsOf } from './topics.ts';

const RSSI_DBM = -61;

/** Sends the messages of a device in the format of its firmware generation. */
export class DeviceMessenger {
  /** Without a session, messages are lost. */
  session: MqttSession | undefined;
  readonly topics: DeviceTopics;
  readonly bootedAt: number;
  private readonly clock: Clock;

  constructor(
    private readonly profile: DeviceProfile,
    private readonly version: string,
    private readonly notify: (change: DeviceStateChange) => void,
  ) {
    this.topics = topicsOf(profile.topicPrefix, profile.deviceId, profile.topicFamily);
    this.clock = profile.clock;
    this.bootedAt = profile.clock.now();
  }

  sendStatus(): void {
    const { deviceId, model, mac, statusForm } = this.profile;
    const uptimeSeconds = Math.floor((this.clock.now() - this.bootedAt) / 1000);
    const { version } = this;
    const facts = { deviceId, model, version, mac, rssiDbm: RSSI_DBM, uptimeSeconds, timestamp: this.timestamp() };
    this.publish(this.topics.status, { ...statusPayload(statusForm, facts), ...this.profile.facts?.() }, true);
  }

  /** What the firmware publishes at a connect after its status. */
  sendConfigAndSensors(): void {
    const { habits } = this.profile;
    if (habits === undefined) return;
    this.publish(this.fill(habits.configTopic), configPayload(this.version), true);
    for (const topic of habits.sensorTopics) this.publish(this.fill(topic), { temperature: 21.4 });
  }

  /** A topic of the habits of the firmware with the prefix and id of the device. */
  fill(topic: string): string {
    const { topicPrefix, deviceId } = this.profile;
    return topic.replaceAll('{prefix}', topicPrefix).replaceAll('{id}', deviceId);
  }

  sendAccepted(command: OtaCommand): void {
    this.publish(this.topics.otaStatus, acceptedPayload(this.about(command)));
  }

  sendProgress(progress: Progress): void {
    this.publish(this.topics.otaProgress, progressPayload(this.timestamp(), progress));
  }

  sendResult(command: OtaCommand, outcome: OtaOutcome): void {
    this.publish(this.topics.otaResult, resultPayload(this.about(command), outcome));
  }

  private publish(topic: string, payload: Record<string, unknown>, retain = false): void {
    const lost = this.profile.random() < (this.profile.behaviours.loseMessages ?? 0);
    if (this.session?.connected && !lost) this.session.publish(topic, JSON.stringify(payload), retain);
    else this.notify({ kind: 'lostMessage', topic });
  }

  private about(command: OtaCommand): OtaContext {
    const { statusForm: form } = this.profile;
    return { form, timestamp: this.timestamp(), currentVersion: this.version, targetVersion: command.version };
  }

  /** Until NTP has synchronized the clock, it counts from the epoch at boot. */
  private timestamp(): string {
    const now = this.clock.now();
    return deviceTimestamp(this.profile.behaviours.clockUnsynced ? now - this.bootedAt : now);
  }
}
