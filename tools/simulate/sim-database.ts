import type { ExecuteStatementCommandInput, RDSDataClient } from '@aws-sdk/client-rds-data';
import { type Database, dataApiDatabase, migrate } from '../../core/db/index.ts';
import {
  bindParameters,
  executeAnswer,
  openPglite,
  type Parameter,
  type Query,
  run,
} from '../../local/services/rds-data/index.ts';
import { readMigrations } from '../../test/support/migrations.ts';

/**
 * Opens the schema on PGlite in this process. SQL, parameters and answers are those of the Data API, but there is no
 * HTTP, so that weeks can be simulated in seconds.
 */
export async function openSimDatabase(): Promise<{ database: Database; close(): Promise<void> }> {
  const engine = await openPglite();
  let release = () => {};
  const query = await new Promise<Query>((resolve) => {
    void engine.use({ role: undefined, statementTimeoutMs: 0 }, (query) => {
      resolve(query);
      return new Promise<void>((end) => {
        release = end;
      });
    });
  });
  const transactionId = 'simulated';
  const execute = async ({ sql = '', parameters = [] }: ExecuteStatementCommandInput) =>
    JSON.parse(executeAnswer(await run(query, bindParameters(sql, parameters as Parameter[])), true));
  const statements: Record<string, string> = {
    BeginTransactionCommand: 'BEGIN',
    CommitTransactionCommand: 'COMMIT',
    RollbackTransactionCommand: 'ROLLBACK',
  };
  const send = async (command: { constructor: { name: string }; input: ExecuteStatementCommandInput }) => {
    const statement = statements[command.constructor.name];
    if (statement === undefined) return execute(command.input);
    await query(statement);
    return { transactionId };
  };
  const client = { send } as unknown as RDSDataClient;
  const database = dataApiDatabase(client, { resourceArn: '', secretArn: '', database: '' });
  await migrate(database, readMigrations(), 'not-used');
  return {
    database,
    async close() {
      release();
      await engine.close();
    },
  };
}
