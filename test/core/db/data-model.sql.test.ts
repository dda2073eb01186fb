import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Catalog, findUncommented, readCatalog } from '../../../bin/catalog.ts';
import { renderDataModel } from '../../../bin/data-model-page.ts';
import { renderSchema } from '../../../bin/schema-dump.ts';
import { DATABASE_ROLES } from '../../../core/db/index.ts';
import { splitStatements } from '../../../core/db/migrations.ts';
import { migrations } from '../../../schema/index.ts';
import { openDatabaseAt, type TestDatabase } from '../../support/database.ts';
import { readMigrations } from '../../support/migrations.ts';

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

/** Always PGlite: versions of PostgreSQL lay out their definitions differently. */
let db: TestDatabase;
let catalog: Catalog;
beforeAll(async () => {
  db = await openDatabaseAt(undefined);
  catalog = await readCatalog(db.owner);
});
afterAll(() => db?.close());

test('every table, view, column, index, trigger and function has a comment', () => {
  expect(catalog.relations.length).toBeGreaterThan(20);
  expect(findUncommented(catalog)).toEqual([]);
});

test.each([
  ['schema/current.sql', renderSchema],
  ['docs/data-model.md', renderDataModel],
])('%s is of the schema of today', (file, render) => {
  const isCurrent = read(file) === render(catalog);
  expect(isCurrent, `${file} is out of date: run npm run gen:schema`).toBe(true);
});

test('schema/current.sql makes the same schema as the migrations', async () => {
  const other = await openDatabaseAt(undefined, false);
  try {
    for (const role of Object.values(DATABASE_ROLES)) await other.owner.query(`CREATE ROLE ${role} LOGIN`);
    for (const statement of splitStatements(read('schema/current.sql'))) await other.owner.query(statement);
    expect(renderSchema(await readCatalog(other.owner))).toBe(renderSchema(catalog));
  } finally {
    await other.close();
  }
});

test('the list of migrations that bundles contain is that of the files', () => {
  expect(readMigrations()).toEqual(migrations);
});
