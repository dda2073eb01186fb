import pg from 'pg';
import { AwsError } from '../../kernel/index.ts';
import type { SqlResult } from './sql-engine.ts';

/** https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.limitations.html */
const MAX_RESPONSE_BYTES = 1024 * 1024;
const MAX_ROW_BYTES = 64 * 1024;

type FieldName = 'stringValue' | 'longValue' | 'doubleValue' | 'booleanValue' | 'blobValue';

/**
 * Types that the Data API returns, by the name of the field. Arrays are missing because nothing reads them.
 * https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html
 */
const TYPES: Readonly<Record<FieldName, string>> = {
  stringValue: 'bpchar cidr date inet json jsonb name numeric text time timestamp timestamptz uuid varchar',
  longValue: 'int2 int4 int8',
  doubleValue: 'float4 float8',
  booleanValue: 'bool',
  blobValue: 'bytea',
};

const READ: Readonly<Record<FieldName, (text: string, type: string) => string | number | boolean>> = {
  stringValue: (text, type) => (/^(date|time)/.test(type) ? readTime(text) : text),
  longValue: Number,
  // JSON has no numbers for NaN and the infinities; AWS's JSON protocols write their names.
  doubleValue: (text) => (Number.isFinite(Number(text)) ? Number(text) : text),
  booleanValue: (text) => text === 't',
  blobValue: (text) => Buffer.from(text.slice('\\x'.length), 'hex').toString('base64'),
};

/** Type names by PostgreSQL's OID (pg_type.dat). */
const TYPE_NAMES = new Map([
  [19, 'name'],
  ...Object.entries(pg.types.builtins).map(([name, oid]): [number, string] => [oid, name.toLowerCase()]),
]);

interface Column {
  readonly label: string;
  readonly typeName: string;
  readonly field: FieldName;
}

/**
 * The answer to ExecuteStatement as JSON. A statement that returns rows reports no count, and one without rows no
 * records.
 *
 * @throws AwsError `UnsupportedResultException` for types that must be cast to text, and above 1 MiB;
 *   `DatabaseErrorException` for a row above 64 KB
 */
export function executeAnswer({ columns, rows, affectedRows }: SqlResult, includeResultMetadata: boolean): string {
  if (!columns) return JSON.stringify({ numberOfRecordsUpdated: affectedRows, generatedFields: [] });
  const types = columns.map(({ name, typeOid }) => typeOf(name, typeOid));
  const records = rows.map((row) => {
    checkRowSize(row);
    return types.map(({ field, typeName }, index) => {
      const text = row[index] ?? null;
      return text === null ? { isNull: true } : { [field]: READ[field](text, typeName) };
    });
  });
  const columnMetadata = types.map(({ label, typeName }) => ({ name: label, label, typeName }));
  const answer = JSON.stringify({
    numberOfRecordsUpdated: 0,
    generatedFields: [],
    records,
    ...(includeResultMetadata && { columnMetadata }),
  });
  if (Buffer.byteLength(answer) <= MAX_RESPONSE_BYTES) return answer;
  throw new AwsError('UnsupportedResultException', 400, 'The result exceeds the size limit 1 MB.');
}

function typeOf(label: string, oid: number): Column {
  const typeName = TYPE_NAMES.get(oid) ?? `with OID ${oid}`;
  const [field] = Object.entries(TYPES).find(([, names]) => names.split(' ').includes(typeName)) ?? [];
  if (field !== undefined) return { label, typeName, field: field as FieldName };
  const message = `The result contains the unsupported data type ${typeName}. Column ${label} must be cast to text.`;
  throw new AwsError('UnsupportedResultException', 400, message);
}

function checkRowSize(row: readonly (string | null)[]): void {
  const size = row.reduce((sum, text) => sum + Buffer.byteLength(text ?? ''), 0);
  if (size <= MAX_ROW_BYTES) return;
  throw new AwsError(
    'DatabaseErrorException',
    400,
    `Packet for query is too large: a row of ${size} bytes, where the Data API returns at most ${MAX_ROW_BYTES}.`,
  );
}

/** The Data API's format of a timestamp: UTC without an offset, with a fraction of none, three or six digits. */
function readTime(text: string): string {
  // Observed: the Data API fails with this error and gives no reason.
  if (text.includes('infinity')) throw new AwsError('InternalServerErrorException', 500, `Cannot return '${text}'.`);
  return text
    .replace(/\+00$/, '')
    .replace(/\.(\d+)$/, (_, digits: string) => `.${digits.padEnd(digits.length > 3 ? 6 : 3, '0')}`);
}
