import { expect, test } from 'vitest';
import { parseTarget } from '../../../core/policy/index.ts';

const parse = (facts: unknown) => parseTarget('all', { facts }, 100);

test.each<[string, Record<string, unknown>]>([
  ['a text', { board_revision: 'C' }],
  ['a number', { psram_bytes: 0 }],
  ['a boolean', { metered: true }],
  ['a least number', { battery_percent: { min: 50 } }],
  ['a range', { slot_bytes: { min: 1_310_720, max: 2_097_152 } }],
])('a target filter takes %s of a fact', (_, facts) => {
  expect(parse(facts)).toMatchObject({ ok: true, value: { facts } });
});

test.each<[string, unknown, string]>([
  ['a name that is stored under another one', { slot_size: 5 }, 'facts.slot_size: is stored as slot_bytes'],
  ['a name that no device can state', { 'a b': 5 }, 'facts.a b: is not the name of a fact'],
  ['a text for a number', { battery_percent: '50' }, 'facts.battery_percent: is a number'],
  ['a number for a text', { board_revision: 3 }, 'facts.board_revision: is text'],
  ['a range for a text', { reset_reason: { min: 3 } }, 'facts.reset_reason: is text'],
  ['a range without a bound', { battery_percent: {} }, 'facts.battery_percent: '],
  ['a range that is empty', { battery_percent: { min: 5, max: 4 } }, 'facts.battery_percent: min is above max'],
  ['a misspelt bound', { battery_percent: { minimum: 5 } }, 'facts.battery_percent'],
  ['null', { battery_percent: null }, 'facts.battery_percent'],
  ['a list', ['battery_percent'], 'facts'],
])('a target filter refuses %s', (_, facts, reason) => {
  expect(parse(facts)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
});
