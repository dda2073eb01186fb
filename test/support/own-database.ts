import pg from 'pg';

export interface OwnDatabase {
  readonly name: string;
  readonly url: string;
  drop(): Promise<void>;
}

/** Name of a migrated database on the server, which the set-up of the suite makes. */
export const TEMPLATE_VARIABLE = 'PAKU_OTA_TEST_TEMPLATE';

/**
 * Creates a database on the server of TEST_DATABASE_URL; undefined without a server.
 * @param migrated true for the tables of all migrations, if the set-up has made them: a copy takes a tenth of the time
 */
export async function ownDatabase({ migrated = false } = {}): Promise<OwnDatabase | undefined> {
  const base = process.env.TEST_DATABASE_URL;
  if (base === undefined || base === '') return undefined;
  const name = `paku_test_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;
  const run = async (sql: string) => {
    const client = new pg.Client({ connectionString: base });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  const template = migrated ? process.env[TEMPLATE_VARIABLE] : undefined;
  await run(`CREATE DATABASE ${name}${template === undefined ? '' : ` TEMPLATE ${template}`}`);
  const url = new URL(base);
  url.pathname = `/${name}`;
  return { name, url: url.href, drop: () => run(`DROP DATABASE ${name} WITH (FORCE)`) };
}
