import { AwsError } from './aws-error.ts';

export interface ApiField {
  readonly isNull?: boolean;
  readonly stringValue?: string;
  readonly longValue?: number;
  readonly doubleValue?: number;
  readonly booleanValue?: boolean;
  readonly blobValue?: string;
  readonly arrayValue?: unknown;
}

export interface ApiParameter {
  readonly name?: string;
  readonly value?: ApiField;
  readonly typeHint?: string;
}

const bad = (message: string) => new AwsError('BadRequestException', 400, message);

/** What may hide a colon or a semicolon: strings, quoted names, dollar quotes, comments; then casts and parameters. */
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$)[\s\S]*?\1|--[^\n]*|\/\*[\s\S]*?\*\/|::|:([A-Za-z_]\w*)|;/g;

/**
 * Rewrites `:name` to `$n` with the cast that the Data API's typed values amount to.
 * @throws AwsError for several statements in one, a parameter without a value, and array parameters
 */
export function bindParameters(sql: string, parameters: readonly ApiParameter[]): { text: string; values: string[] } {
  const byName = new Map(parameters.map((parameter) => [parameter.name ?? '', parameter]));
  const positions = new Map<string, string>();
  const values: string[] = [];
  const body = sql.trim().replace(/;\s*$/, '');
  const text = body.replaceAll(TOKEN, (token: string, _tag: string | undefined, name: string | undefined) => {
    if (token === ';') throw new AwsError('ValidationException', 400, "Multistatements aren't supported.");
    if (name === undefined) return token;
    const known = positions.get(name);
    if (known !== undefined) return known;
    const parameter = byName.get(name);
    if (parameter === undefined) throw bad(`Cannot find parameter: ${name}`);
    const bound = bindValue(parameter, () => values.length + 1);
    if (bound.value !== undefined) values.push(bound.value);
    positions.set(name, bound.text);
    return bound.text;
  });
  return { text, values };
}

const HINTS: Readonly<Record<string, string>> = {
  DATE: 'date',
  DECIMAL: 'numeric',
  JSON: 'jsonb',
  TIME: 'time',
  TIMESTAMP: 'timestamp',
  UUID: 'uuid',
};

function bindValue({ name, value = {}, typeHint }: ApiParameter, next: () => number): { text: string; value?: string } {
  if (value.arrayValue !== undefined) throw bad(`Array parameters are not supported: ${name}`);
  if (value.isNull === true) return { text: 'NULL' };
  const typed = (type: string, text: unknown) => ({ text: `$${next()}::${type}`, value: String(text) });
  if (typeHint !== undefined) {
    const type = HINTS[typeHint];
    if (type === undefined || value.stringValue === undefined)
      throw bad(`typeHint ${typeHint} does not fit parameter ${name}`);
    return typed(type, value.stringValue);
  }
  if (value.stringValue !== undefined) return typed('text', value.stringValue);
  if (value.longValue !== undefined) return typed('bigint', value.longValue);
  if (value.doubleValue !== undefined) return typed('double precision', value.doubleValue);
  if (value.booleanValue !== undefined) return typed('boolean', value.booleanValue);
  if (value.blobValue !== undefined)
    return typed('bytea', `\\x${Buffer.from(value.blobValue, 'base64').toString('hex')}`);
  throw bad(`Parameter ${name} has no value`);
}

interface ColumnType {
  readonly name: string;
  readonly jdbc: number;
  read(text: string): ApiField;
}

const string = (name: string, jdbc = 12): ColumnType => ({ name, jdbc, read: (text) => ({ stringValue: text }) });
const whole = (name: string, jdbc: number): ColumnType => ({
  name,
  jdbc,
  read: (text) => ({ longValue: Number(text) }),
});
const floating = (name: string, jdbc: number): ColumnType => ({
  name,
  jdbc,
  read: (text) => ({ doubleValue: Number(text) }),
});

/** By type OID (pg_type.h): what the Data API can return; anything else is an UnsupportedResultException. */
const TYPES: Readonly<Record<number, ColumnType>> = {
  16: { name: 'bool', jdbc: -7, read: (text) => ({ booleanValue: text === 't' || text === 'true' }) },
  17: {
    name: 'bytea',
    jdbc: -2,
    read: (text) => ({ blobValue: Buffer.from(text.slice(2), 'hex').toString('base64') }),
  },
  19: string('name'),
  20: whole('int8', -5),
  21: whole('int2', 5),
  23: whole('int4', 4),
  25: string('text'),
  114: string('json', 1111),
  700: floating('float4', 7),
  701: floating('float8', 8),
  1042: string('bpchar', 1),
  1043: string('varchar'),
  1082: string('date', 91),
  1083: string('time', 92),
  1114: string('timestamp', 93),
  // The Data API returns timestamptz in UTC, without an offset.
  1184: { name: 'timestamptz', jdbc: 93, read: (text) => ({ stringValue: text.replace(/\+00$/, '') }) },
  1700: string('numeric', 2),
  2950: string('uuid', 1111),
  3802: string('jsonb', 1111),
  // DO blocks and `SELECT f()` of void functions.
  2278: string('void', 1111),
};

export function columnType(typeOid: number, column: string): ColumnType {
  const type = TYPES[typeOid];
  if (type !== undefined) return type;
  throw new AwsError(
    'UnsupportedResultException',
    400,
    `The result contains the unsupported data type with OID ${typeOid} in column ${column}; cast it to text.`,
  );
}
