import { expect, test } from 'vitest';
import { conditionOption, readFilter } from '../../../cli/session/filter-flags.ts';

test('flags target one of several values, and leave out what an exception names', () => {
  const filter = readFilter({
    attribute: conditionOption('site=milan', conditionOption('revision=B,C')),
    fact: conditionOption('board_revision=3, board_revision="4"'),
    exceptAttribute: conditionOption('site="Rome, Italy"'),
    exceptFact: ['battery_percent<=20'],
    exceptGroup: ['lab'],
    exceptDevice: ['a'],
    exceptMac: ['A0:B7:65:20:E9:55'],
    exceptFrom: ['1.0.0'],
  });
  expect(filter).toEqual({
    metadata: { revision: ['B', 'C'], site: 'milan' },
    facts: { board_revision: [3, '4'] },
    except: {
      device_ids: ['a'],
      mac_addresses: ['A0:B7:65:20:E9:55'],
      groups: ['lab'],
      versions: ['1.0.0'],
      metadata: { site: 'Rome, Italy' },
      facts: { battery_percent: { max: 20 } },
    },
  });
  expect(readFilter({})).toEqual({});
});

test.each<[string, object, string]>([
  ['values without a name', { attribute: conditionOption('B,C') }, '"B" is not an attribute'],
  ['no value', { exceptAttribute: conditionOption('site=') }, '"site=" is not an attribute'],
  ['a value and a range', { fact: conditionOption('a=50,a>=60') }, '"a>=60" is not a condition on a fact'],
  ['a value after a range', { fact: conditionOption('a>=60,70') }, '"70" is not a condition on a fact'],
])('a flag with %s is refused', (_, flags, message) => {
  expect(() => readFilter(flags)).toThrow(message);
});
