import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostileRequest, WatchedApi } from '../../../tools/fuzz/requests.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

const RUNS = 500;

/** A statement without its constants: two that differ only in these have a value of a request in them. */
const formOf = (statement: string) => statement.replace(/'[^']*'/g, "''").replace(/\b\d+\b/g, '0');

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
  expect(api.statements.size).toBeGreaterThan(40);
  const forms = [...api.statements].map(formOf);
  expect(forms.filter((form, n) => forms.indexOf(form) !== n)).toEqual([]);
});
