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
      'the devices ESP32-1, A0:B7:65:20:E9:55 in one of the groups vans, boats of the model esp32-s3 on version 1.0.0 with the attributes site=rome, slot=3 that state board_revision=C, battery_percent from 50 to 90, slot_bytes from 1310720 that rollout 7 updated from 1.0.0',
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
