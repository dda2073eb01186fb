import type { Database, Sql, SqlRow, SqlValues } from '../../core/db/index.ts';

/** A database for tests, which name the type of the rows that they read; the service reads rows by a schema. */
export interface TestSql extends Sql {
  query<Row = SqlRow>(sql: string, values?: SqlValues): Promise<Row[]>;
}
export type TypedDatabase = TestSql & Pick<Database, 'transaction'>;

/** Nothing checks the types that a test names: if one is wrong, its expectations fail. */
export const typed = (database: Database): TypedDatabase => database as TypedDatabase;
