import { describe, expect, test } from 'vitest';
import { describeFilter } from '../../api/describe-filter.ts';
import type { TargetFilter } from '../../api/rollouts.ts';
import { targetFilter } from '../../core/policy/index.ts';

/** A filter for each key, and its description. */
const EXAMPLES = {
  device_ids: [{ device_ids: ['ESP32-1'] }, 'the device ESP32-1'],
  mac_addresses: [{ mac_addresses: ['A0:B7:65:20:E9:55'] }, 'the device A0:B7:65:20:E9:55'],
  groups: [{ groups: ['vans', 'boats'] }, 'all devices in one of the groups vans, boats'],
  group: [{ group: 'vans' }, 'all devices in the group vans'],
  models: [{ models: ['esp32-s3'] }, 'all devices of the model esp32-s3'],
  versions: [{ versions: ['1.0.0'] }, 'all devices on version 1.0.0'],
  metadata: [{ metadata: { site: 'rome', slot: 3 } }, 'all devices with the attributes site=rome, slot=3'],
  facts: [
    { facts: { board_revision: 'C', battery_percent: { min: 50, max: 90 }, slot_bytes: { min: 1_310_720 } } },
    'all devices that state board_revision=C, battery_percent from 50 to 90, slot_bytes from 1310720',
  ],
  recovers: [
    { recovers: { rollout: 7, previous_versions: ['1.0.0'] } },
    'all devices that rollout 7 updated from 1.0.0',
  ],
  except: [
    { except: { groups: ['lab', 'shop'], metadata: { site: 'lab-3' } } },
    'all devices, except those in one of the groups lab, shop and those with the attribute site=lab-3',
  ],
} satisfies Record<keyof TargetFilter, [TargetFilter, string]>;

describe('the description of a filter', () => {
  test('has an example for each key of the filter', () => {
    expect(Object.keys(EXAMPLES).sort()).toEqual(Object.keys(targetFilter.shape).sort());
  });

  test.each(Object.entries(EXAMPLES))('names the key %s', (_, [filter, text]) => {
    expect(describeFilter(filter)).toBe(text);
  });

  test('names every condition', () => {
    const everything = Object.assign({}, ...Object.values(EXAMPLES).map(([filter]) => filter)) as TargetFilter;
    expect(describeFilter(everything)).toBe(
      'the devices ESP32-1, A0:B7:65:20:E9:55 in one of the groups vans, boats of the model esp32-s3 on version 1.0.0 with the attributes site=rome, slot=3 that state board_revision=C, battery_percent from 50 to 90, slot_bytes from 1310720 that rollout 7 updated from 1.0.0, except those in one of the groups lab, shop and those with the attribute site=lab-3',
    );
  });

  test('names the values of which one must hold', () => {
    expect(
      describeFilter({ metadata: { revision: ['B', 'C'], slot: [1] }, facts: { board_revision: ['3', '4'] } }),
    ).toBe('all devices with the attributes revision=B or C, slot=1 that state board_revision="3" or "4"');
    expect(describeFilter({ metadata: { site: ['a', 'b', 'c', 'd'] } }, 2)).toBe(
      'all devices with the attribute site=a or b or 2 more',
    );
  });

  test('names each exception, of which one is enough', () => {
    const except = {
      device_ids: ['ESP32-1'],
      mac_addresses: ['A0:B7:65:20:E9:55'],
      groups: ['lab'],
      versions: ['1.0.0'],
      metadata: { site: ['lab-3', 'lab-4'], revision: 'A' },
      facts: { battery_percent: { max: 20 }, board_revision: 'C' },
    };
    expect(describeFilter({ groups: ['vans'], except })).toBe(
      'all devices in the group vans, except the devices ESP32-1, A0:B7:65:20:E9:55, those in the group lab, those on version 1.0.0, those with the attribute site=lab-3 or lab-4, those with the attribute revision=A, those that state battery_percent up to 20 and those that state board_revision=C',
    );
    expect(describeFilter({ except: { device_ids: ['a', 'b', 'c'] } }, 2)).toBe(
      'all devices, except the devices a, b and 1 more',
    );
  });

  test('shows an exception that it does not know', () => {
    expect(describeFilter({ except: { colors: ['red'] } } as TargetFilter)).toBe(
      'all devices, except those with colors ["red"]',
    );
  });

  test('is "all devices" without a condition', () => {
    expect(describeFilter({})).toBe('all devices');
    expect(describeFilter({ metadata: {} })).toBe('all devices');
  });

  test('names a fact with an upper bound alone, and with a text that looks like a number', () => {
    expect(describeFilter({ facts: { free_heap_bytes: { max: 5 }, board_revision: '3' } })).toBe(
      'all devices that state free_heap_bytes up to 5, board_revision="3"',
    );
  });

  test('is "no device" for a list that is empty', () => {
    expect(describeFilter({ groups: [], versions: ['1.0.0'] })).toBe('no device: groups is empty');
    expect(describeFilter({ device_ids: [], mac_addresses: ['A0:B7:65:20:E9:55'] })).toBe(
      'the device A0:B7:65:20:E9:55',
    );
  });

  test('gives only the number of the values after the first ones', () => {
    const device_ids = Array.from({ length: 1_500 }, (_, n) => `d${n}`);
    expect(describeFilter({ device_ids }, 2)).toBe('the devices d0, d1 and 1,498 more');
  });

  test('shows a key that it does not know', () => {
    expect(describeFilter({ not_groups: ['vans'] } as TargetFilter)).toBe('all devices with not_groups ["vans"]');
  });

  test('writes an attribute so that its type can be read', () => {
    expect(describeFilter({ metadata: { serial: '7' } })).toBe('all devices with the attribute serial="7"');
  });
});
