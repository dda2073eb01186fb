import { DEVICE_ID, type DeviceId } from '../util/index.ts';
import { ago, span } from './presence.ts';
import type { DeviceTopics } from './topics.ts';

/** Topic of the event that AWS IoT publishes when a client is disconnected, before the client id. */
export const DISCONNECTED_TOPIC = '$aws/events/presence/disconnected/';

/** Reasons of a disconnection by a policy, as AWS IoT writes them (IoT developer guide, "Lifecycle events"). */
export const REFUSAL_REASONS = ['AUTH_ERROR', 'FORBIDDEN_ACCESS'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export const disconnectedTopics: DeviceTopics = {
  form: `${DISCONNECTED_TOPIC}<client id>`,
  deviceOf(topic) {
    const clientId = topic.startsWith(DISCONNECTED_TOPIC) ? topic.slice(DISCONNECTED_TOPIC.length) : '';
    return DEVICE_ID.test(clientId) ? clientId : undefined;
  },
};

/** Disconnections of one client by its policy that followed each other. */
export interface Refusals {
  readonly times: number;
  readonly first_at: Date;
  readonly last_at: Date;
}

/**
 * `disconnected by its policy 3 times in 2 min, the last time 20 s ago; its policy allows: …`
 * @param allowed what the policy allows, with `{deviceId}` for the device
 */
export function describeRefusals(
  { times, first_at, last_at }: Refusals,
  deviceId: DeviceId,
  allowed: string,
  now: Date,
) {
  const seconds = (last_at.getTime() - first_at.getTime()) / 1000;
  const often = times === 1 ? 'once' : `${times} times in ${span(seconds)}`;
  const topics = allowed.replaceAll('{deviceId}', () => deviceId);
  return `disconnected by its policy ${often}, the last time ${ago(last_at, now)}; its policy allows: ${topics}`;
}
