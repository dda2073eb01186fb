import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DATABASE_ROLES } from '../../core/db/index.ts';

const FOLDER = new URL('../../schema/', import.meta.url);
const sql = readdirSync(FOLDER)
  .filter((name) => /^\d{6}_.*\.sql$/.test(name))
  .map((name) => readFileSync(new URL(name, FOLDER), 'utf8'))
  .join('\n');

const relations = ['schema_migrations', ...[...sql.matchAll(/^CREATE (?:TABLE|VIEW) (\w+)/gm)].map(([, name]) => name)];

test.each(Object.values(DATABASE_ROLES))('each table and view has a line of grants for %s', (role) => {
  expect(relations.length).toBeGreaterThan(25);
  const missing = relations.filter(
    (name) => !new RegExp(`(GRANT|REVOKE)[^;]*? ON ${name}\\s+(TO|FROM) ${role};`).test(sql),
  );
  expect(
    missing.map(
      (name) =>
        `${name} has no line for ${role}. Decide in the section "Grants" of the migration: GRANT what its functions need, or REVOKE ALL ON ${name} FROM ${role};`,
    ),
  ).toEqual([]);
});
