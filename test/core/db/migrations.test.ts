import { expect, test } from 'vitest';
import type { Database } from '../../../core/db/database.ts';
import { SqlError } from '../../../core/db/errors.ts';
import { migrate } from '../../../core/db/migrations.ts';

/** A server on which others set the password of the role at the same time, so many times. */
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

test('who sets the password of the role while others do tries again', async () => {
  expect(await migrate(busyServer(5), [], 'a-password')).toEqual({ applied: [], schemaVersion: 0 });
});

test('a server that never lets it is an error', async () => {
  await expect(migrate(busyServer(100), [], 'a-password')).rejects.toThrow('tuple concurrently updated');
});
