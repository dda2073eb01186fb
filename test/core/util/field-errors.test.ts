import { expect, test } from 'vitest';
import * as z from 'zod';
import { describeErrors, fieldErrors } from '../../../core/util/field-errors.ts';

const schema = z.strictObject({
  name: z.string().min(1).max(5),
  kind: z.enum(['all', 'group']).optional(),
  at: z.iso.datetime().optional(),
  share: z.number().min(0.5).max(1).optional(),
  size: z.number().gt(0).optional(),
  ids: z.array(z.string().regex(/^a/, 'expected an a')).min(1).optional(),
  either: z.union([z.number(), z.boolean()]).optional(),
});
const errorOf = (value: unknown): z.ZodError => {
  const { error } = schema.safeParse(value);
  if (error === undefined) throw new Error('it is valid');
  return error;
};

test.each([
  [{}, 'name', 'missing, expected string'],
  [{ name: 5 }, 'name', 'expected string, received number'],
  [{ name: '' }, 'name', 'must not be empty'],
  [{ name: 'longer' }, 'name', 'at most 5 characters'],
  [{ name: 'x', kind: 'some' }, 'kind', 'expected all or group'],
  [{ name: 'x', at: 'tomorrow' }, 'at', 'expected a time such as 2026-03-02T12:00:00Z'],
  [{ name: 'x', share: 0.1 }, 'share', 'at least 0.5'],
  [{ name: 'x', share: 2 }, 'share', 'at most 1'],
  [{ name: 'x', size: 0 }, 'size', 'more than 0'],
  [{ name: 'x', ids: [] }, 'ids', 'must not be empty'],
  [{ name: 'x', ids: ['a', 'b'] }, 'ids.1', 'expected an a'],
  [{ name: 'x', either: 'c' }, 'either', 'not valid'],
  ['x', '', 'expected object, received string'],
])('%j: %s %s', (value, field, message) => {
  expect(fieldErrors(errorOf(value))).toEqual([{ field, message }]);
});

test('every unknown field is named', () => {
  expect(describeErrors(errorOf({ name: 'x', nmae: 1, at_: 2 }))).toBe(
    'nmae: there is no such field; at_: there is no such field',
  );
});
