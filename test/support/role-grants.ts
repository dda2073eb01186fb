import * as z from 'zod';
import { DATABASE_ROLES, type DatabaseRole, select } from '../../core/db/index.ts';
import { bindParameters } from '../../local/services/rds-data/index.ts';
import type { TestDatabase } from './database.ts';

const checkedGrant = z.strictObject({
  /** Such as `UPDATE (status) ON device_update_status`. */
  grant: z.string(),
  /** The beginning of a statement that is refused without it; null if none is. */
  refused: z.string().nullable(),
});

/** A grant of a role, which was taken away for a moment. */
export type CheckedGrant = z.infer<typeof checkedGrant>;

/** All in one call: there are hundreds of grants. PostgreSQL checks permissions before it runs a statement, so EXPLAIN does. */
const CHECK = `CREATE OR REPLACE FUNCTION checking.check_grants(role text, statements jsonb) RETURNS TABLE ("grant" text, refused text)
LANGUAGE plpgsql AS $$
DECLARE
  granted record;
  statement text;
BEGIN
  FOR granted IN
    SELECT c.relname, g.privilege || coalesce(' (' || g.name || ')', '') || ' ON ' || c.relname AS what
    FROM pg_class AS c CROSS JOIN LATERAL (
      SELECT a.grantee, a.privilege_type AS privilege, NULL::text AS name, 0 AS n FROM aclexplode(c.relacl) AS a
      UNION ALL
      SELECT a.grantee, a.privilege_type, t.attname::text, t.attnum
      FROM pg_attribute AS t CROSS JOIN LATERAL aclexplode(t.attacl) AS a WHERE t.attrelid = c.oid
    ) AS g
    WHERE c.relnamespace = 'public'::regnamespace AND g.grantee = role::regrole ORDER BY c.oid, g.privilege, g.n
  LOOP
    "grant" := granted.what;
    refused := NULL;
    EXECUTE 'REVOKE ' || granted.what || ' FROM ' || role;
    FOR statement IN SELECT s FROM jsonb_array_elements_text(statements) AS s WHERE s ~ ('\\y' || granted.relname || '\\y') LOOP
      BEGIN
        EXECUTE 'SET LOCAL ROLE ' || role;
        EXECUTE 'EXPLAIN ' || statement;
        EXECUTE 'RESET ROLE';
      EXCEPTION WHEN insufficient_privilege THEN
        refused := left(statement, 300);
        EXIT;
      END;
    END LOOP;
    EXECUTE 'GRANT ' || granted.what || ' TO ' || role;
    RETURN NEXT;
  END LOOP;
END
$$`;

/** Takes each grant of a role away in turn, and says which of the statements is refused then. */
export async function checkRoleGrants(
  db: TestDatabase,
  role: DatabaseRole,
  statements: ReadonlySet<string>,
): Promise<CheckedGrant[]> {
  await db.owner.query('CREATE SCHEMA IF NOT EXISTS checking');
  await db.owner.query(CHECK);
  return select(db.owner, checkedGrant, 'SELECT * FROM checking.check_grants(:role, :statements::jsonb)', {
    role: DATABASE_ROLES[role],
    statements: [...statements].map(withoutValues),
  });
}

/** The statement with NULL for each value, which its permissions do not depend on; a number of rows may not be NULL. */
function withoutValues(statement: string): string {
  const names = [...statement.matchAll(/:([A-Za-z_]\w*)/g)].map(([, name = '']) => name);
  const { text } = bindParameters(
    statement,
    names.map((name) => ({ name, value: { isNull: true } })),
  );
  return text.replace(/FETCH FIRST \(NULL[^)]*\)/, 'FETCH FIRST (1)');
}
