import { expect, test } from 'vitest';
import { describeFact, formatFactCondition, parseFactConditions } from '../../api/fact-text.ts';

test.each<[string, string | number | boolean, string]>([
  ['slot_bytes', 1_310_720, '1,310,720 bytes'],
  ['battery_percent', 80, '80%'],
  ['chip_revision', 301, 'v3.1'],
  ['chip_revision', 2, 'v0.2'],
  ['floors', 3.5, '3.5'],
  ['board_revision', 'C', 'C'],
  ['metered', true, 'true'],
])('the fact %s with the value %j is described', (name, value, text) => {
  expect(describeFact(name, value)).toBe(text);
});

test('a condition on a fact is formatted with its bounds', () => {
  expect(formatFactCondition('battery_percent', { min: 50 })).toBe('battery_percent from 50');
  expect(formatFactCondition('battery_percent', { max: 90 })).toBe('battery_percent up to 90');
  expect(formatFactCondition('serial', '7')).toBe('serial="7"');
});

test('conditions on facts are parsed, of one fact the list of its values or both bounds', () => {
  expect(parseFactConditions(['a>=1', 'a<=2', 'b=x', 'b=y', 'c="3"', 'd=-1', 'e>=-1.5'])).toEqual({
    facts: { a: { min: 1, max: 2 }, b: ['x', 'y'], c: '3', d: -1, e: { min: -1.5 } },
  });
  expect(parseFactConditions(['a=1', 'a>b'])).toEqual({ invalid: 'a>b' });
  expect(parseFactConditions(['a=1', 'a=1'])).toEqual({ facts: { a: 1 } });
  expect(parseFactConditions(['a>=1', 'a=5'])).toEqual({ invalid: 'a=5' });
});
