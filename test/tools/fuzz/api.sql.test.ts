import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostileRequest, WatchedApi } from '../../../tools/fuzz/requests.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

const RUNS = 500;
/** More than the statements of the API. A value that is written into a statement would add another. */
const MOST_STATEMENTS = 70;

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
  await addDevices(db.app, 3);
  await addRelease(db.app, '2.0.0');
  await addRollout(db.app, 'r', '2.0.0');
});
afterAll(() => db?.close());

test('the API answers or refuses any request, and writes no value into a statement', async () => {
  const api = new WatchedApi(db.app);
  await fc.assert(
    fc.asyncProperty(hostileRequest, (request) => api.check(request)),
    { numRuns: RUNS },
  );
  expect(api.statements.size).toBeGreaterThan(20);
  expect(api.statements.size).toBeLessThan(MOST_STATEMENTS);
});
