import { expect, test } from 'vitest';
import * as z from 'zod';
import { anyJson, type Sql, select } from '../../../core/db/index.ts';

const answering = (row: Record<string, unknown>): Sql => ({ query: async () => [row] });

const schema = z.strictObject({
  device_id: z.string(),
  state: z.enum(['sent', 'failed']),
  seen: z.date().nullable(),
  results: z.array(z.strictObject({ code: z.int() })),
});
const right = { device_id: 'a', state: 'sent', seen: null, results: [{ code: 1 }] };
const read = (row: Record<string, unknown>) => select(answering(row), schema, '\n  SELECT 1\n  FROM devices');

test('a row with the expected columns and types is returned', async () => {
  const seen = new Date(0);
  expect(await read({ ...right, seen })).toEqual([{ ...right, seen }]);
});

test.each([
  ['a column of another type', { device_id: 7 }, 'column device_id is number, expected string'],
  ['null where a value is expected', { device_id: null }, 'column device_id is null, expected string'],
  ['a missing column', { seen: undefined }, 'column seen is missing, expected date'],
  ['a time that cannot be read', { seen: new Date('infinity') }, 'column seen is an invalid date, expected date'],
  ['a value outside of a closed set', { state: 'secret' }, 'column state is string, expected one of sent, failed'],
  ['a number with a fraction', { results: [{ code: 1.5 }] }, 'a value inside column results is number, expected int'],
  [
    'a key inside json',
    { results: [{ code: 1, x: 1 }] },
    'a value inside column results is object, expected no other key',
  ],
  ['a column that the schema does not name', { owner: 'secret' }, 'unexpected column owner'],
])('%s is refused by an error that names the statement and no value', async (_, change, problem) => {
  await expect(read({ ...right, ...change })).rejects.toThrow(
    expect.objectContaining({ name: 'RowError', code: 'row', message: `${problem} (in: SELECT 1)` }),
  );
});

test('json that an operator may write is returned as it is', async () => {
  const filter = { anything: [1, null] };
  const rows = await select(answering({ filter }), z.strictObject({ filter: anyJson<object>() }), 'SELECT 1');
  expect(rows).toEqual([{ filter }]);
});
