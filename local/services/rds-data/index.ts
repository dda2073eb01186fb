export { dataApiService } from './data-api.ts';
export { bindParameters, type Parameter } from './data-api-parameters.ts';
export { executeAnswer } from './data-api-results.ts';
export { run } from './data-api-sessions.ts';
export { openPglite, openPostgres, type Query } from './sql-engine.ts';
