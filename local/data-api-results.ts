import pg from 'pg';
import { AwsError } from './aws-service.ts';
import type { SqlResult } from './sql-engine.ts';

/** https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.limitations.html */
const MAX_RESPONSE_BYTES = 1024 * 1024;
const MAX_ROW_BYTES = 64 * 1024;

type Scalar = 'string' | 'long' | 'double' | 'boolean' | 'blob';
type Value = string | number | boolean;

interface ColumnType {
  readonly name: string;
  /** java.sql.Types */
  readonly jdbcType: number;
  readonly scalar: Scalar;
  readonly isArray?: boolean;
}

const READ: Readonly<Record<Scalar, (text: string, typeName: string) => Value>> = {
  string: (text, typeName) => (/^(date|time)/.test(typeName) ? readTime(text) : text),
  long: Number,
  // JSON has no number for NaN and the infinities; AWS's JSON protocols write their names.
  double: (text) => (Number.isFinite(Number(text)) ? Number(text) : text),
  boolean: (text) => text === 't',
  blob: (text) => Buffer.from(text.slice('\\x'.length), 'hex').toString('base64'),
};

/**
 * Types that the Data API returns, by OID (pg_type.dat), each with its array type.
 * https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html
 */
const TYPES = new Map<number, ColumnType>(
  (
    [
      [16, 1000, 'bool', -7, 'boolean'],
      [17, 0, 'bytea', -2, 'blob'],
      [19, 1003, 'name', 12, 'string'],
      [20, 1016, 'int8', -5, 'long'],
      [21, 1005, 'int2', 5, 'long'],
      [23, 1007, 'int4', 4, 'long'],
      [25, 1009, 'text', 12, 'string'],
      [114, 199, 'json', 1111, 'string'],
      [650, 651, 'cidr', 1111, 'string'],
      [700, 1021, 'float4', 7, 'double'],
      [701, 1022, 'float8', 8, 'double'],
      [869, 1041, 'inet', 1111, 'string'],
      [1042, 1014, 'bpchar', 1, 'string'],
      [1043, 1015, 'varchar', 12, 'string'],
      [1082, 1182, 'date', 91, 'string'],
      [1083, 1183, 'time', 92, 'string'],
      [1114, 1115, 'timestamp', 93, 'string'],
      [1184, 1185, 'timestamptz', 93, 'string'],
      [1700, 1231, 'numeric', 2, 'string'],
      [2950, 2951, 'uuid', 1111, 'string'],
      [3802, 3807, 'jsonb', 1111, 'string'],
    ] as const
  ).flatMap(([oid, arrayOid, name, jdbcType, scalar]): [number, ColumnType][] => [
    [oid, { name, jdbcType, scalar }],
    [arrayOid, { name: `_${name}`, jdbcType: 2003, scalar, isArray: true }],
  ]),
);

/** The 1-dimensional text[] parser: elements of every type stay text. */
const parseArray = pg.types.getTypeParser(1009 as Parameters<typeof pg.types.getTypeParser>[0], 'text') as (
  text: string,
) => readonly unknown[];

/**
 * The answer to ExecuteStatement, as JSON. Statements that return rows report no count, those without rows no records.
 *
 * @throws AwsError `UnsupportedResultException` for types that must be cast to text, and above 1 MiB;
 *   `DatabaseErrorException` for a row above 64 KB
 */
export function executeAnswer({ columns, rows, affectedRows }: SqlResult, includeResultMetadata: boolean): string {
  if (!columns) return JSON.stringify({ numberOfRecordsUpdated: affectedRows, generatedFields: [] });
  const types = columns.map(({ name, typeOid }) => typeOf(typeOid, name));
  const records = rows.map((row) => {
    checkRowSize(row);
    return row.map((text, index) => field(text, types[index] as ColumnType));
  });
  const columnMetadata = columns.map(({ name }, index) => metadata(name, types[index] as ColumnType));
  const answer = JSON.stringify({
    numberOfRecordsUpdated: 0,
    generatedFields: [],
    records,
    ...(includeResultMetadata && { columnMetadata }),
  });
  if (Buffer.byteLength(answer) <= MAX_RESPONSE_BYTES) return answer;
  throw unsupported('The result exceeds the size limit 1 MB.');
}

function typeOf(oid: number, column: string): ColumnType {
  const type = TYPES.get(oid);
  if (type) return type;
  const name = Object.entries(pg.types.builtins).find(([, value]) => value === oid)?.[0] ?? `with OID ${oid}`;
  throw unsupported(`The result contains the unsupported data type ${name}. Column ${column} must be cast to text.`);
}

function checkRowSize(row: readonly (string | null)[]): void {
  const size = row.reduce((sum, text) => sum + (text === null ? 0 : Buffer.byteLength(text)), 0);
  if (size <= MAX_ROW_BYTES) return;
  throw new AwsError(
    'DatabaseErrorException',
    400,
    `Packet for query is too large: a row of ${size} bytes, where the Data API returns at most ${MAX_ROW_BYTES}.`,
  );
}

function field(text: string | null, { name, scalar, isArray }: ColumnType): object {
  if (text === null) return { isNull: true };
  if (!isArray) return { [`${scalar}Value`]: READ[scalar](text, name) };
  const elements = parseArray(text).map((element) => {
    if (typeof element !== 'string')
      throw unsupported('The result contains a multidimensional array, or a NULL in one.');
    return READ[scalar](element, name.slice(1));
  });
  return { arrayValue: { [`${scalar}Values`]: elements } };
}

function metadata(label: string, { name, jdbcType, scalar }: ColumnType): object {
  const isSigned = ['long', 'double'].includes(scalar) || name === 'numeric';
  return { name: label, label, type: jdbcType, typeName: name, nullable: 2, isSigned };
}

/** UTC without an offset; the fraction has no, three or six digits. */
function readTime(text: string): string {
  // Observed of the Data API: it fails in this way, without a word on the reason.
  if (text.includes('infinity')) throw new AwsError('InternalServerErrorException', 500, `Cannot return '${text}'.`);
  return text
    .replace(/\+00$/, '')
    .replace(/\.(\d+)$/, (_, digits: string) => `.${digits.padEnd(digits.length > 3 ? 6 : 3, '0')}`);
}

const unsupported = (message: string) => new AwsError('UnsupportedResultException', 400, message);
