import { parseAttributeConditions } from '../../../api/attribute-text.ts';
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

/** Lines of one name are values of which one is enough. A line that is not an attribute becomes null, which the service refuses. */
export function readAttributes(text: string): NonNullable<TargetFilter['metadata']> {
  const read = parseAttributeConditions(linesOf(text));
  return 'attributes' in read
    ? read.attributes
    : ({ [read.invalid.trim()]: null } as unknown as NonNullable<TargetFilter['metadata']>);
}

/** A line that is not a condition becomes null, which the service refuses. */
export function readFacts(text: string): NonNullable<TargetFilter['facts']> {
  const read = parseFactConditions(linesOf(text));
  return 'facts' in read
    ? read.facts
    : ({ [read.invalid.trim()]: null } as unknown as NonNullable<TargetFilter['facts']>);
}

const linesOf = (text: string) => text.split('\n').filter((line) => line.trim() !== '');

/** Names that are separated by commas. */
export const namesOf = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** The exceptions of a filter as they were typed. */
export const NO_EXCEPTIONS = { groups: '', versions: '', devices: '', attributes: '', facts: '' };
export type ExceptionForm = Readonly<typeof NO_EXCEPTIONS>;

/** The exceptions of a filter; no key without any, because an empty one is refused. */
export function exceptionsOf(form: ExceptionForm): Pick<TargetFilter, 'except'> {
  const groups = namesOf(form.groups);
  const versions = namesOf(form.versions);
  const metadata = readAttributes(form.attributes);
  const facts = readFacts(form.facts);
  const except = {
    ...(groups.length > 0 ? { groups } : {}),
    ...(versions.length > 0 ? { versions } : {}),
    ...(form.devices.trim() === '' ? {} : devicesOf(form.devices)),
    ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
    ...(Object.keys(facts).length > 0 ? { facts } : {}),
  };
  return Object.keys(except).length > 0 ? { except } : {};
}
