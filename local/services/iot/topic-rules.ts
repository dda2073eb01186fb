import { escapeRegExp } from '../../kernel/index.ts';
import type { BrokerMessage } from './broker.ts';

/** A compiled topic rule. */
export interface TopicRule {
  matches(message: Pick<BrokerMessage, 'topic' | 'payload'>): boolean;
  /** The JSON text that the rule puts on its queue for a message. */
  apply(message: BrokerMessage): string;
}

/** The only SQL statement that `lib/` uses, with or without who published. It wraps a message and does not parse it. */
const STATEMENT =
  "SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id";
const WITH_PRINCIPAL = ', principal() AS principal';

/** The only condition that `lib/` uses: a field of the payload is one of some texts, and its client id has a form. */
const CONDITION =
  /^ WHERE \((?<reasons>disconnectReason = '\w+'(?: OR disconnectReason = '\w+')*)\) AND regexp_matches\(clientId, '(?<form>[^']+)'\)$/;

/** @throws Error for any SQL that `lib/` does not use */
export function compileTopicRule(sql: string, version: unknown): TopicRule {
  if (version !== '2016-03-23') throw new Error(`awsIotSqlVersion is ${String(version)}, expected 2016-03-23`);
  const rest = sql.slice(STATEMENT.length);
  const namesPrincipal = rest.startsWith(WITH_PRINCIPAL);
  const [, filter, where = ''] =
    /^ FROM '([^'#]+)'(.*)$/.exec(namesPrincipal ? rest.slice(WITH_PRINCIPAL.length) : rest) ?? [];
  const condition = where === '' ? () => true : compileCondition(where);
  if (!sql.startsWith(STATEMENT) || filter === undefined || condition === undefined) {
    throw new Error(
      `the local runtime does not know the SQL: ${sql}. Expected ${STATEMENT} FROM '<topic filter without #>'`,
    );
  }
  // `+` matches one level (MQTT 3.1.1, section 4.7).
  const levels = filter.split('/').map((level) => (level === '+' ? '[^/]*' : escapeRegExp(level)));
  const pattern = new RegExp(`^${levels.join('/')}$`);
  return {
    matches: ({ topic, payload }) => pattern.test(topic) && condition(payload),
    apply: ({ payload, topic, receivedAt, clientId, principal }) =>
      JSON.stringify({
        payload: payload.toString('base64'),
        topic,
        received_at: receivedAt,
        client_id: clientId,
        ...(namesPrincipal ? { principal } : {}),
      }),
  };
}

/** @returns undefined for a condition that `lib/` does not use */
function compileCondition(where: string): ((payload: Buffer) => boolean) | undefined {
  const { reasons, form } = CONDITION.exec(where)?.groups ?? {};
  if (reasons === undefined || form === undefined) return undefined;
  const accepted = [...reasons.matchAll(/'(\w+)'/g)].map(([, reason]) => reason);
  const pattern = new RegExp(form);
  return (payload) => {
    const { disconnectReason, clientId } = parseObject(payload);
    return accepted.some((reason) => reason === disconnectReason) && pattern.test(String(clientId));
  };
}

/** A payload that is not a JSON object has no fields, so no condition holds. */
function parseObject(payload: Buffer): Readonly<Record<string, unknown>> {
  try {
    return { ...(JSON.parse(payload.toString()) as object) };
  } catch {
    return {};
  }
}
