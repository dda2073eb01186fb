import { escapeRegExp } from '../../kernel/index.ts';
import type { BrokerMessage } from './broker.ts';

/** A compiled topic rule. */
export interface TopicRule {
  matches(topic: string): boolean;
  /** The JSON text that the rule puts on its queue for a message. */
  apply(message: BrokerMessage): string;
}

/** The only SQL statement that `lib/` uses. It wraps a message and does not parse it. */
const STATEMENT =
  "SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id FROM ";

/** @throws Error for any SQL that `lib/` does not use */
export function compileTopicRule(sql: string, version: unknown): TopicRule {
  if (version !== '2016-03-23') throw new Error(`awsIotSqlVersion is ${String(version)}, expected 2016-03-23`);
  const [, filter] = /^'([^'#]+)'$/.exec(sql.slice(STATEMENT.length)) ?? [];
  if (!sql.startsWith(STATEMENT) || filter === undefined) {
    throw new Error(`the local runtime does not know the SQL: ${sql}. Expected ${STATEMENT}'<topic filter without #>'`);
  }
  // `+` matches one level (MQTT 3.1.1, section 4.7).
  const levels = filter.split('/').map((level) => (level === '+' ? '[^/]*' : escapeRegExp(level)));
  const pattern = new RegExp(`^${levels.join('/')}$`);
  return {
    matches: (topic) => pattern.test(topic),
    apply: ({ payload, topic, receivedAt, clientId }) =>
      JSON.stringify({ payload: payload.toString('base64'), topic, received_at: receivedAt, client_id: clientId }),
  };
}
