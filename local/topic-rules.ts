import type { BrokerMessage } from './broker.ts';

/** A topic rule: which messages it takes, and what it makes of one. */
export interface TopicRule {
  matches(topic: string): boolean;
  /** The rule's action input: the JSON text that it puts on its queue. */
  apply(message: BrokerMessage): string;
}

const SHAPE = /^SELECT (.+) FROM '([^']+)'$/;

/** The functions of AWS IoT SQL that our rules call. */
const FUNCTIONS: Readonly<Record<string, (message: BrokerMessage) => unknown>> = {
  "encode(*, 'base64')": ({ payload }) => payload.toString('base64'),
  'topic()': ({ topic }) => topic,
  'timestamp()': ({ receivedAt }) => receivedAt,
  'clientid()': ({ clientId }) => clientId,
};

/** @throws Error for SQL of any other shape than `lib/` emits */
export function compileTopicRule(sql: string, version: unknown): TopicRule {
  if (version !== '2016-03-23') throw new Error(`awsIotSqlVersion is ${String(version)}, expected 2016-03-23`);
  const [, list = '', filter = ''] = SHAPE.exec(sql) ?? [];
  const columns = [...list.matchAll(/\s*(.+?) AS (\w+)(?:,|$)/g)].map(([, call = '', alias = '']) => {
    const evaluate = FUNCTIONS[call];
    if (evaluate === undefined) throw new Error(`the local runtime does not know "${call}" in: ${sql}`);
    return { alias, evaluate };
  });
  if (columns.length === 0) throw new Error(`the local runtime does not know this SQL: ${sql}`);
  const pattern = filterPattern(filter);
  return {
    matches: (topic) => pattern.test(topic),
    apply: (message) =>
      JSON.stringify(Object.fromEntries(columns.map(({ alias, evaluate }) => [alias, evaluate(message)]))),
  };
}

/** MQTT 3.1.1, section 4.7: `+` is one level, `#` at the end all that follow. */
function filterPattern(filter: string): RegExp {
  const levels = filter.split('/').map((level) => {
    if (level === '+') return '[^/]*';
    if (level === '#') return '.*';
    return level.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${levels.join('/')}$`, 's');
}
