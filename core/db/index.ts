export { groupBy, inBatches, writeIsolatingBadRows } from './batches.ts';
export {
  type DataApiOptions,
  type Database,
  dataApiDatabase,
  type Sql,
  type SqlRow,
  type SqlValues,
} from './database.ts';
export { DATABASE_ENGINE } from './engine.ts';
export { DatabaseUnavailableError, RowError, SqlError } from './errors.ts';
export { releaseLease, takeLease } from './leases.ts';
export { migrate, SCHEMA_MISMATCH, schemaVersion } from './migrations.ts';
export { readInPages } from './pages.ts';
export { DATABASE_ROLES, type DatabaseRole, type RolePasswords } from './roles.ts';
export { anyJson, type RowOf, select } from './select.ts';
