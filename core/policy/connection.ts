import { ago } from './presence.ts';

/** What AWS IoT says about the connection of a client when it is asked. It forgets a client after 30 minutes. */
export type ConnectionAnswer =
  | { readonly state: 'connected' | 'disconnected'; readonly since: Date | null; readonly reason: string | null }
  | { readonly state: 'not_known' }
  | { readonly state: 'not_asked'; readonly error: string };

export const CONNECTION_STATES = ['connected', 'disconnected', 'not_known', 'not_asked'] as const;

/** The answer as a sentence, such as `disconnected 7 min ago (CONNECTION_LOST)`. */
export function describeConnection(answer: ConnectionAnswer, now: Date): string {
  if (answer.state === 'not_asked') return `AWS IoT could not be asked (${answer.error})`;
  if (answer.state === 'not_known') return 'not connected, and not in the last 30 min';
  const { state, since, reason } = answer;
  const when = since === null ? '' : state === 'connected' ? ` since ${ago(since, now)}` : ` ${ago(since, now)}`;
  return `${state}${when.replace(/^ since (.*) ago$/, ' for $1')}${reason === null ? '' : ` (${reason})`}`;
}
