import type { BrokerMessage } from './broker.ts';
import { escapeRegExp } from './text.ts';

/** A topic rule: which messages it takes, and what it makes of one. */
export interface TopicRule {
  matches(topic: string): boolean;
  /** The rule's action input: the JSON text that it puts on its queue. */
  apply(message: BrokerMessage): string;
}

interface Column {
  readonly alias: string;
  readonly evaluate: (message: BrokerMessage) => unknown;
}

const STATEMENT = /^SELECT (.+) FROM '([^']+)'$/;
const COLUMN = /^(.+) AS (\w+)$/;
/** Between columns, not between the arguments of a function. */
const COMMA = /,\s*(?![^(]*\))/;

/** The functions of AWS IoT SQL that our rules call. */
const FUNCTIONS: Readonly<Record<string, Column['evaluate']>> = {
  "encode(*, 'base64')": ({ payload }) => payload.toString('base64'),
  'topic()': ({ topic }) => topic,
  'timestamp()': ({ receivedAt }) => receivedAt,
  'clientid()': ({ clientId }) => clientId,
};

/** @throws Error for SQL of any other shape than `lib/` emits */
export function compileTopicRule(sql: string, version: unknown): TopicRule {
  if (version !== '2016-03-23') throw new Error(`awsIotSqlVersion is ${String(version)}, expected 2016-03-23`);
  const [, list, filter] = STATEMENT.exec(sql) ?? [];
  if (list === undefined || filter === undefined) throw unknownSql(sql, 'the statement');
  const columns = list.split(COMMA).map((column) => compileColumn(column, sql));
  const pattern = filterPattern(filter);
  return {
    matches: (topic) => pattern.test(topic),
    apply: (message) =>
      JSON.stringify(Object.fromEntries(columns.map(({ alias, evaluate }) => [alias, evaluate(message)]))),
  };
}

function compileColumn(column: string, sql: string): Column {
  const [, call = '', alias = ''] = COLUMN.exec(column) ?? [];
  const evaluate = FUNCTIONS[call];
  if (evaluate === undefined) throw unknownSql(sql, `"${column}"`);
  return { alias, evaluate };
}

function unknownSql(sql: string, what: string): Error {
  const known = Object.keys(FUNCTIONS).join(', ');
  return new Error(`the local runtime does not know ${what} in: ${sql}. Expected SELECT … AS … FROM '…' with ${known}`);
}

/** MQTT 3.1.1, section 4.7: `+` is one level; `#` is its parent and all that follows. */
function filterPattern(filter: string): RegExp {
  const [path, anything] = filter.endsWith('/#') ? [filter.slice(0, -2), '(/.*)?'] : [filter, ''];
  const levels = path.split('/').map((level) => {
    if (level.includes('#')) throw new Error(`the topic filter ${filter} has # before its end`);
    return level === '+' ? '[^/]*' : escapeRegExp(level);
  });
  return new RegExp(`^${levels.join('/')}${anything}$`, 's');
}
