export { Database } from './database.ts';
export { DatabaseFunction, type ServiceBase } from './database-function.ts';
export { Migration } from './migration.ts';
