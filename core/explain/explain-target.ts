import type { AttributeCondition, Exceptions, FactCondition, Target } from '../policy/index.ts';
import type { TargetRule } from '../targeting/index.ts';
import { type DeviceId, someNames } from '../util/index.ts';

/** What a target filter reads of a device. */
export interface FilteredDevice {
  readonly mac_address: string | null;
  readonly version: string;
  readonly metadata: Values;
  readonly facts: Values;
  /** Its groups that the filter names, exceptions included. */
  readonly named_groups: readonly string[];
}

type Value = string | number | boolean;
type Values = Readonly<Record<string, Value>>;
type Wanted = AttributeCondition | FactCondition;

/** Most values of one condition that are named; the others are counted. */
const MOST_VALUES = 5;

/** Why the device does not meet a condition of the filter: what it has, and what was asked for. */
export function whyNotMatching(
  rule: TargetRule,
  deviceId: DeviceId,
  device: FilteredDevice,
  deviceModel: string,
  target: Target,
): string {
  const except = target.except ?? {};
  switch (rule) {
    case 'model':
      return `is not of the model ${deviceModel}, or not of a model in target_filter.models`;
    case 'list':
      return whyExcludedByName(deviceId, device, except) ?? 'is not one of the devices in target_filter';
    case 'group':
      return whyNotInGroup(device, target.groups, except);
    case 'version':
      return except.versions?.includes(device.version) && (target.versions?.includes(device.version) ?? true)
        ? `is on ${device.version}, which target_filter.except.versions excludes`
        : `is on ${device.version}, which is not in target_filter.versions: ${named(target.versions ?? [])}`;
    case 'metadata':
      return (
        whyNotWanted(device.metadata, target.metadata, except.metadata, ATTRIBUTES) ??
        'does not have the attributes in target_filter.metadata'
      );
    case 'fact':
      return (
        whyNotWanted(device.facts, target.facts, except.facts, FACTS) ??
        'does not state the facts in target_filter.facts'
      );
  }
}

/** Names the attributes and facts of exceptions that the device has not, so that they do not exclude it; empty if it has all. */
export function whyNotExcluded({ metadata, facts }: FilteredDevice, { except }: Target): string {
  const missing = (values: Values, wanted: object = {}) =>
    Object.keys(wanted).filter((name) => !Object.hasOwn(values, name));
  const attributes = missing(metadata, except?.metadata);
  const unstated = missing(facts, except?.facts);
  const parts = [
    ...(attributes.length === 0 ? [] : [`has no attribute ${named(attributes)}`]),
    ...(unstated.length === 0 ? [] : [`does not state ${named(unstated)}`]),
  ];
  return parts.length === 0 ? '' : `; target_filter.except does not exclude it: it ${parts.join(' and ')}`;
}

const named = (names: readonly string[]) => someNames(names.slice(0, MOST_VALUES), names.length);

function whyExcludedByName(
  deviceId: DeviceId,
  { mac_address: mac }: FilteredDevice,
  { deviceIds, macAddresses }: Exceptions,
): string | undefined {
  if (deviceIds?.includes(deviceId)) return 'is one of the devices that target_filter.except excludes by id';
  if (mac === null || !macAddresses?.includes(mac)) return undefined;
  return `has the MAC address ${mac}, which target_filter.except excludes`;
}

function whyNotInGroup({ named_groups }: FilteredDevice, groups: Target['groups'], except: Exceptions): string {
  const isIn = (group: string) => named_groups.includes(group);
  const excluding = except.groups?.filter(isIn) ?? [];
  if (excluding.length > 0 && (groups?.some(isIn) ?? true)) {
    return `is in the ${excluding.length === 1 ? 'group' : 'groups'} ${named(excluding)}, which target_filter.except excludes`;
  }
  return `is in none of the groups in target_filter: ${named(groups ?? [])}`;
}

interface Wording {
  readonly key: string;
  readonly has: string;
  readonly hasNot: string;
}

const ATTRIBUTES: Wording = { key: 'metadata', has: 'has the attribute', hasNot: 'has no attribute' };
const FACTS: Wording = { key: 'facts', has: 'states', hasNot: 'does not state' };

/** The first condition that the device does not meet, or the first exception that it meets; undefined without one. */
function whyNotWanted(
  values: Values,
  wanted: Readonly<Record<string, Wanted>>,
  excepted: Readonly<Record<string, Wanted>> = {},
  { key, has, hasNot }: Wording,
): string | undefined {
  const statedOf = (name: string) => (Object.hasOwn(values, name) ? values[name] : undefined);
  for (const [name, condition] of Object.entries(wanted)) {
    const stated = statedOf(name);
    if (isWanted(stated, condition)) continue;
    const subject = stated === undefined ? `${hasNot} ${name}` : `${has} ${name}=${JSON.stringify(stated)}`;
    return `${subject}; target_filter.${key} asks for ${describe(condition)}`;
  }
  for (const [name, condition] of Object.entries(excepted)) {
    const stated = statedOf(name);
    if (!isWanted(stated, condition)) continue;
    return `${has} ${name}=${JSON.stringify(stated)}; target_filter.except excludes ${describe(condition)}`;
  }
  return undefined;
}

/** The same as the conditions of `core/targeting`, for the reason only. */
function isWanted(stated: Value | undefined, wanted: Wanted): boolean {
  if (stated === undefined) return false;
  if (isList(wanted)) return wanted.includes(stated);
  if (typeof wanted !== 'object') return stated === wanted;
  const { min = -Infinity, max = Infinity } = wanted;
  return typeof stated === 'number' && stated >= min && stated <= max;
}

function describe(wanted: Wanted): string {
  if (!isList(wanted) && typeof wanted === 'object') {
    const { min, max } = wanted;
    if (min === undefined) return `up to ${max}`;
    return max === undefined ? `${min} or more` : `${min} to ${max}`;
  }
  const values = [wanted].flat().map((value) => JSON.stringify(value));
  if (values.length > MOST_VALUES) return `one of ${named(values)}`;
  return values.join(' or ');
}

const isList = (wanted: Wanted): wanted is readonly Value[] => Array.isArray(wanted);
