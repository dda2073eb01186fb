import {
  type CommandFamily,
  commandTopic,
  encodeCommand,
  linkToken,
  packetProblem,
} from '../../core/protocol/index.ts';
import { type Models, settingsOf } from '../../core/release-policy/index.ts';
import type { PendingUpdate, PlannedSend } from '../../core/updates/index.ts';
import type { RolloutId, UpdateId } from '../../core/util/index.ts';
import { presignImage } from '../shared/presign.ts';

export interface CommandSettings {
  readonly linkSecret: string;
  readonly linkBaseUrl: string;
  readonly topicPrefix: string;
  readonly defaultFamily: CommandFamily;
  readonly models: Models;
  readonly bucket: string;
}

/** A command that fits its device's packet limit, ready to be sent once its slot is reserved. */
export interface PlannedCommand extends PlannedSend {
  readonly rolloutId: RolloutId;
  /** The MQTT client id with which the device was last seen. */
  readonly clientId: string;
  readonly topic: string;
  readonly payload: string;
}

export interface Plan {
  readonly planned: readonly PlannedCommand[];
  readonly unsendable: readonly { id: UpdateId; message: string }[];
}

export type CommandMaker = (updates: readonly PendingUpdate[], now: Date) => Promise<Plan>;

/**
 * Makes the commands of pending updates. An update whose packet is longer than its device accepts is returned as
 * unsendable, with the reason.
 */
export function commandMaker(settings: CommandSettings): CommandMaker {
  return async (updates, now) => {
    const made = await Promise.all(updates.map((update) => plan(update, settings, now)));
    return {
      planned: made.flatMap(({ command }) => command ?? []),
      unsendable: made.flatMap(({ refusal }) => refusal ?? []),
    };
  };
}

async function plan(update: PendingUpdate, settings: CommandSettings, now: Date) {
  const { id, device_id, rollout_id, firmware_version, checksum_sha256 } = update;
  const model = settingsOf(settings.models, update.device_model);
  const { packetLimitBytes } = model;
  const delivery = update.next_delivery ?? model.delivery;
  const family = update.next_family ?? update.command_family ?? settings.defaultFamily;
  const topic = commandTopic(settings.topicPrefix, family, device_id);
  const url =
    delivery === 'presigned'
      ? await presignImage(settings.bucket, update.object_key)
      : settings.linkBaseUrl + linkToken({ updateId: id, attempt: update.attempt + 1 }, now, settings.linkSecret);
  const payload = encodeCommand({ url, checksum: checksum_sha256, version: firmware_version });
  const message = packetProblem(topic, payload, packetLimitBytes);
  if (message !== undefined) return { refusal: { id, message } };
  const clientId = update.client_id ?? device_id;
  return { command: { id, family, delivery, rolloutId: rollout_id, clientId, topic, payload } };
}
