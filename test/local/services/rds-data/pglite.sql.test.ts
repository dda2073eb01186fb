import { expect, onTestFinished, test } from 'vitest';
import { openPglite } from '../../../../local/services/rds-data/sql-engine.ts';

test('PGlite analyzes its tables once a minute of use, because it has no autovacuum', async () => {
  let now = 0;
  const engine = await openPglite(undefined, () => now);
  onTestFinished(() => engine.close());
  const run = (sql: string) => engine.use({ role: undefined, statementTimeoutMs: 0 }, (query) => query(sql));
  const estimate = async () => (await run(`SELECT reltuples FROM pg_class WHERE relname = 'devices'`)).rows[0]?.[0];
  await run('CREATE TABLE devices AS SELECT generate_series(1, 2000) AS id');
  expect(await estimate()).toBe('-1');
  now = 60_000;
  expect(await estimate()).toBe('2000');
  await run('DELETE FROM devices WHERE id > 10');
  now = 119_000;
  expect(await estimate()).toBe('2000');
  now = 120_000;
  expect(await estimate()).toBe('10');
});
