import type { Sql } from '../../core/db/index.ts';
import { recordSubscribedFamilies } from '../../core/devices/index.ts';
import { subscribedFamily } from '../../core/protocol/index.ts';
import type { PendingUpdate } from '../../core/updates/index.ts';

/** The topic filters of a client; undefined if it is not connected or AWS IoT does not say. */
export type ListSubscriptions = (clientId: string) => Promise<readonly string[] | undefined>;

/**
 * Asks AWS IoT which command topic each device listens on: once before its first command and once after its version
 * changed. A device whose subscriptions are not known gets its command as before.
 * @returns the updates with the families that are known now
 */
export async function learnFamilies(
  sql: Sql,
  updates: readonly PendingUpdate[],
  topicPrefix: string,
  list: ListSubscriptions,
  now: Date,
): Promise<PendingUpdate[]> {
  const answers = await Promise.all(
    updates.filter(isUnasked).map(async ({ device_id: deviceId, client_id: clientId, current_firmware_version }) => {
      const family = subscribedFamily((await list(clientId ?? deviceId)) ?? [], topicPrefix, deviceId);
      return { deviceId, version: current_firmware_version, family };
    }),
  );
  const known = answers.flatMap(({ family, ...answer }) =>
    family === undefined ? [] : { ...answer, family: family === 'both' ? null : family },
  );
  await recordSubscribedFamilies(sql, known, now);
  const families = new Map(known.map(({ deviceId, family }) => [deviceId, family]));
  return updates.map((update) => ({
    ...update,
    command_family: families.get(update.device_id) ?? update.command_family,
  }));
}

const isUnasked = ({ is_family_unasked, next_family }: PendingUpdate) => is_family_unasked && next_family === null;
