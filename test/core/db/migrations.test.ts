import { expect, test } from 'vitest';
import type { Database } from '../../../core/db/database.ts';
import { SqlError } from '../../../core/db/errors.ts';
import { migrate } from '../../../core/db/migrations.ts';

const PASSWORDS = { public: 'a', ingest: 'b', control: 'c' };

/** A server on which other migrations set the passwords of the roles at the same time, this many times. */
function busyServer(others: number): Database {
  let beaten = 0;
  return {
    query: async <Row>() => [] as Row[],
    async transaction<T>() {
      if (beaten++ < others) throw new SqlError('XX000', 'ERROR: tuple concurrently updated');
      return undefined as T;
    },
  } as Database;
}

test('retries setting the passwords of the roles while other migrations set it', async () => {
  expect(await migrate(busyServer(5), [], PASSWORDS)).toEqual({ applied: [], schemaVersion: 0 });
});

test('fails if the server never allows it', async () => {
  await expect(migrate(busyServer(100), [], PASSWORDS)).rejects.toThrow('tuple concurrently updated');
});
