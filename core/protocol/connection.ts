import type { DeviceId } from '../util/index.ts';
import { ago } from './presence.ts';
import { commandTopicsIn } from './topics.ts';

/** What AWS IoT says about the connection of a client when it is asked. It forgets a client after 30 minutes. */
export type ConnectionAnswer =
  | {
      readonly state: 'connected';
      readonly since: Date | null;
      readonly reason: null;
      /** The topic filters that it is subscribed to; null: AWS IoT did not say. */
      readonly filters: readonly string[] | null;
    }
  | { readonly state: 'disconnected'; readonly since: Date | null; readonly reason: string | null }
  | { readonly state: 'not_known' }
  | { readonly state: 'not_asked'; readonly error: string };

export const CONNECTION_STATES = ['connected', 'disconnected', 'not_known', 'not_asked'] as const;

/** The answer as a sentence, such as `disconnected 7 min ago (CONNECTION_LOST)`. */
export function describeConnection(answer: ConnectionAnswer, prefix: string, deviceId: DeviceId, now: Date): string {
  if (answer.state === 'not_asked') return `AWS IoT could not be asked (${answer.error})`;
  if (answer.state === 'not_known') return 'not connected, and not in the last 30 min';
  if (answer.state === 'connected') {
    const { since, filters } = answer;
    const long = since === null ? '' : ` for ${ago(since, now).replace(/ ago$/, '')}`;
    return `connected${long}${filters === null ? '' : `; ${listeningText(filters, prefix, deviceId)}`}`;
  }
  const { since, reason } = answer;
  return `disconnected${since === null ? '' : ` ${ago(since, now)}`}${reason === null ? '' : ` (${reason})`}`;
}

function listeningText(filters: readonly string[], prefix: string, deviceId: DeviceId): string {
  const topics = commandTopicsIn(filters, prefix, deviceId);
  return topics.length === 0
    ? 'listens on no command topic, so it would ignore a command'
    : `listens on ${topics.join(' and ')}`;
}
