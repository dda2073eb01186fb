import { expect, test } from 'vitest';
import { parseTarget } from '../../../core/policy/index.ts';

const parse = (filter: unknown) => parseTarget('all', filter, 100);
const many = (n: number) => Array.from({ length: n }, (_, index) => `v${index}`);

test.each<[string, Record<string, unknown>]>([
  ['one of the values of an attribute', { metadata: { revision: ['B', 'C'], slot: [1, true] } }],
  ['one of the values of a fact', { facts: { board_revision: ['B', 'C'], chip_revision: [300, 301] } }],
  ['as many values as it may have', { metadata: { site: many(100) } }],
])('a target filter takes %s', (_, filter) => {
  expect(parse(filter)).toMatchObject({ ok: true, value: { ...filter, except: null } });
});

test('a target filter takes an exception by each of its keys', () => {
  const except = {
    device_ids: ['van-1'],
    mac_addresses: ['aa-bb-cc-dd-ee-ff'],
    groups: ['lab'],
    versions: ['1.0.0'],
    metadata: { site: ['lab-3', 'lab-4'] },
    facts: { battery_percent: { max: 20 } },
  };
  expect(parse({ except })).toMatchObject({
    ok: true,
    value: {
      groups: null,
      except: {
        deviceIds: ['van-1'],
        macAddresses: ['AA:BB:CC:DD:EE:FF'],
        groups: ['lab'],
        versions: ['1.0.0'],
        metadata: { site: ['lab-3', 'lab-4'] },
        facts: { battery_percent: { max: 20 } },
      },
    },
  });
});

test.each<[string, unknown, string]>([
  ['an attribute with an empty list', { metadata: { site: [] } }, 'metadata.site: must not be empty'],
  ['a fact with an empty list', { facts: { board_revision: [] } }, 'facts.board_revision: must not be empty'],
  ['too many values', { metadata: { site: many(101) } }, 'metadata.site: at most 100 entries'],
  ['a list that is not of values', { metadata: { site: [null] } }, 'metadata.site'],
  ['a range in a list', { facts: { battery_percent: [{ min: 5 }] } }, 'facts.battery_percent'],
  ['a text in the list of a number', { facts: { battery_percent: [5, '6'] } }, 'facts.battery_percent: is a number'],
  ['a number in the list of a text', { facts: { board_revision: ['C', 3] } }, 'facts.board_revision: is text'],
  ['an exception without a condition', { except: {} }, 'except: must not be empty'],
  ['an exception with an empty list', { except: { groups: [] } }, 'except.groups: must not be empty'],
  ['an exception with no attribute', { except: { metadata: {} } }, 'except.metadata: must not be empty'],
  ['an exception with no fact', { except: { facts: {} } }, 'except.facts: must not be empty'],
  ['an exception with too many groups', { except: { groups: many(101) } }, 'except.groups: at most 100 entries'],
  ['an exception with a misspelt key', { except: { grups: ['lab'] } }, 'except.grups: there is no such field'],
  ['an exception in an exception', { except: { except: { groups: ['a'] } } }, 'except.except: there is no such field'],
  ['an exception that is a list', { except: ['lab'] }, 'except'],
  ['an exception that is null', { except: null }, 'except'],
])('a target filter refuses %s', (_, filter, reason) => {
  expect(parse(filter)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
});
