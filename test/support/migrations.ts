import { readdirSync, readFileSync } from 'node:fs';
import type { Migration } from '../../schema/index.ts';

const SCHEMA = new URL('../../schema/', import.meta.url);

/** Every migration, from the files: plain Node does not import SQL, as bundles and tests do. */
export function readMigrations(): Migration[] {
  return readdirSync(SCHEMA)
    .filter((file) => /^\d{6}_.*\.sql$/.test(file))
    .sort()
    .map((file) => ({
      version: Number.parseInt(file, 10),
      name: file.slice(file.indexOf('_') + 1, -'.sql'.length),
      sql: readFileSync(new URL(file, SCHEMA), 'utf8'),
    }));
}
