import pg from 'pg';

export interface OwnDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** Creates a database on the server of TEST_DATABASE_URL; undefined without a server. */
export async function ownDatabase(): Promise<OwnDatabase | undefined> {
  const base = process.env.TEST_DATABASE_URL;
  if (base === undefined || base === '') return undefined;
  const name = `paku_test_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;
  const run = async (sql: string) => {
    const client = new pg.Client({ connectionString: base });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await run(`CREATE DATABASE ${name}`);
  const url = new URL(base);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => run(`DROP DATABASE ${name} WITH (FORCE)`) };
}
