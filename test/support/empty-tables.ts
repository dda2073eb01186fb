import pg from 'pg';
import type { TestSql } from './test-sql.ts';

/** Empties all tables of a database, and restarts ids at 1. */
export interface Emptier {
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** Above this size a table is truncated, so that its pages do not fill with deleted rows. */
const SMALL_BYTES = 65_536;

/**
 * Deletes the rows of small tables. A table that is truncated has its indexes built again and its statements planned
 * again, which takes longer than most tests. Triggers do not run, because the tables that they fill are emptied too.
 */
const EMPTY_TABLES = `
DO $$
DECLARE
  name text;
BEGIN
  PERFORM set_config('session_replication_role', 'replica', true);
  FOR name IN SELECT quote_ident(relname) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations'
      AND pg_relation_size(oid) > 0
  LOOP
    IF pg_relation_size(name::regclass) > ${SMALL_BYTES} THEN EXECUTE format('TRUNCATE %s CASCADE', name);
    ELSE EXECUTE format('DELETE FROM %s', name);
    END IF;
  END LOOP;
  PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences
  WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$`;

/** On a server it has a connection of its own: a session that turns triggers off loses the plans of its statements. */
export function emptierOf(url: string | undefined, owner: TestSql): Emptier {
  if (url === undefined) return { empty: () => owner.query(EMPTY_TABLES).then(() => {}), close: async () => {} };
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => {});
  return { empty: () => pool.query(EMPTY_TABLES).then(() => {}), close: () => pool.end() };
}
