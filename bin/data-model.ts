import { writeFileSync } from 'node:fs';
import { openDatabaseAt } from '../test/support/database.ts';
import { readCatalog } from './catalog.ts';
import { renderDataModel } from './data-model-page.ts';
import { renderSchema } from './schema-dump.ts';

/**
 * `npm run gen:schema`: schema/current.sql and docs/data-model.md, out of the catalog of a migrated database in memory. A
 * test fails when they are not of today.
 */
const database = await openDatabaseAt(undefined);
const catalog = await readCatalog(database.owner);
await database.close();
writeFileSync(new URL('../schema/current.sql', import.meta.url), renderSchema(catalog));
writeFileSync(new URL('../docs/data-model.md', import.meta.url), renderDataModel(catalog));
