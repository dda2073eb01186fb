import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { type DataApiOptions, type Database, dataApiDatabase } from '../../core/db/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from './environment.ts';

/** Statements may take 45 s. A client with a shorter timeout would retry and run them twice. */
const REQUEST_TIMEOUT_MS = 60_000;

/** Opens the database with the role whose secret this function was given. */
export function openDatabase(options: DataApiOptions = {}): Database {
  const client = new RDSDataClient({ requestHandler: { requestTimeout: REQUEST_TIMEOUT_MS } });
  const target = {
    resourceArn: requireEnv(ENV.clusterArn),
    secretArn: requireEnv(ENV.databaseSecretArn),
    database: requireEnv(ENV.databaseName),
  };
  return dataApiDatabase(client, target, options);
}
