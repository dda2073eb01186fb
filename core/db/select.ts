import * as z from 'zod';
import type { Sql, SqlRow, SqlValues } from './database.ts';
import { firstLine, RowError } from './errors.ts';

/** The schema of a row: a `z.strictObject` of the columns that a statement returns. */
export type RowSchema<Row> = z.ZodType<Row>;

/**
 * A json column that SQL of an operator may fill with any JSON. It is not checked, because one such row must not fail the
 * statements that read it: its reader checks it.
 */
export const anyJson = <T>() => z.custom<T>((value) => value !== undefined);

/** The row of a schema, for the functions that pass it on. */
export type RowOf<Schema extends z.ZodType> = Readonly<z.infer<Schema>>;

/**
 * Runs a statement and checks the columns and types of each row that it returns.
 * @throws RowError if a column is missing, unknown or of another type
 */
export async function select<Row>(
  sql: Sql,
  schema: RowSchema<Row>,
  statement: string,
  values?: SqlValues,
): Promise<Row[]> {
  const rows = await sql.query(statement, values);
  return rows.map((row) => {
    const result = schema.safeParse(row);
    if (result.success) return result.data;
    throw new RowError(`${describeProblem(result.error, row)} (in: ${firstLine(statement)})`);
  });
}

/** Names the column and the types, and no value: it may be personal data. */
function describeProblem({ issues: [issue] }: z.ZodError, row: SqlRow): string {
  if (issue === undefined) return 'a row does not match its schema';
  const column = String(issue.path[0] ?? '');
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
    return `unexpected column ${issue.keys.join(', ')}`;
  }
  const found = typeName(issue.path.reduce(valueAt, row));
  const inside = issue.path.length === 1 ? '' : 'a value inside ';
  return `${inside}column ${column} is ${found}, expected ${expectedType(issue)}`;
}

const valueAt = (value: unknown, key: PropertyKey): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;

function typeName(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : 'date';
  return Array.isArray(value) ? 'array' : typeof value;
}

function expectedType(issue: z.ZodError['issues'][number]): string {
  if (issue.code === 'invalid_type') return issue.expected;
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`;
  return issue.code === 'unrecognized_keys' ? 'no other key' : `another value (${issue.code})`;
}
