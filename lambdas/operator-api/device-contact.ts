import type { Connection, Refusals } from '../../api/devices.ts';
import { findRefusals } from '../../core/devices/index.ts';
import { describeConnection, describeRefusals } from '../../core/protocol/index.ts';
import type { DeviceId } from '../../core/util/index.ts';
import { json, type Services } from './context.ts';
import { notFound, RefusedCall } from './problems.ts';

/** What AWS IoT says about the connection of the client of a device. */
export async function connectionOf(
  { askConnection, now, settings }: Services,
  deviceId: DeviceId,
  clientId: string,
): Promise<Connection> {
  const answer = await askConnection(clientId);
  const { since, reason } = 'since' in answer ? answer : { since: null, reason: null };
  const topics = answer.state === 'connected' && answer.filters !== null ? [...answer.filters] : null;
  const text = describeConnection(answer, settings.topicPrefix, deviceId, now());
  return json({ state: answer.state, since, reason, topics, text });
}

/** The disconnections of a client by its policy; null if there were none. */
export async function refusalsOf({ sql, now, settings }: Services, clientId: string): Promise<Refusals | null> {
  const found = await findRefusals(sql, clientId, now());
  return found === undefined
    ? null
    : json({ ...found, text: describeRefusals(found, clientId, settings.devicePolicy, now()) });
}

/** The answer about a device that never reported, which may be because its policy does not let it. */
export async function unknownDevice(services: Services, deviceId: DeviceId): Promise<RefusedCall> {
  const refusals = await refusalsOf(services, deviceId);
  if (refusals === null) return notFound(`device ${deviceId}`);
  return new RefusedCall(404, `There is no device ${deviceId}: it never reported, and it was ${refusals.text}.`);
}
