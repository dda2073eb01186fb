import { openDatabaseAt } from './database.ts';
import { ownDatabase, TEMPLATE_VARIABLE } from './own-database.ts';

/** Runs before the suite: migrates one database on the server, of which the tests get copies. */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[TEMPLATE_VARIABLE] !== undefined) return undefined;
  const server = await ownDatabase();
  if (server === undefined) return undefined;
  const database = await openDatabaseAt(server.url);
  await database.close();
  process.env[TEMPLATE_VARIABLE] = server.name;
  return async () => {
    delete process.env[TEMPLATE_VARIABLE];
    await server.drop();
  };
}
