import { parseAttribute } from '../../../api/attribute-text.ts';
import { parseFactConditions } from '../../../api/fact-text.ts';
import type { TargetFilter } from '../../../api/rollouts.ts';

const MAC_ADDRESS = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i;

/** Device ids and MAC addresses, separated by spaces, commas or lines. */
export function devicesOf(text: string): TargetFilter {
  const names = text.split(/[\s,;]+/).filter((name) => name !== '');
  const addresses = names.filter((name) => MAC_ADDRESS.test(name));
  const ids = names.filter((name) => !MAC_ADDRESS.test(name));
  return {
    ...(ids.length > 0 || addresses.length === 0 ? { device_ids: ids } : {}),
    ...(addresses.length > 0 ? { mac_addresses: addresses } : {}),
  };
}

/** A line that is not an attribute becomes null, which the service refuses. */
export function readAttributes(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const pairs = lines.map((line) => parseAttribute(line) ?? [line.trim(), null]);
  return Object.fromEntries(pairs) as Record<string, string>;
}

/** A line that is not a condition becomes null, which the service refuses. */
export function readFacts(text: string): NonNullable<TargetFilter['facts']> {
  const read = parseFactConditions(text.split('\n').filter((line) => line.trim() !== ''));
  return 'facts' in read
    ? read.facts
    : ({ [read.invalid.trim()]: null } as unknown as NonNullable<TargetFilter['facts']>);
}
