import { formatAttributeCondition } from './attribute-text.ts';
import { formatFactCondition } from './fact-text.ts';
import type { TargetFilter } from './rollouts.ts';

/** A condition on a device. Keys of the filter with the same condition are alternatives. */
type Condition = 'device' | 'group' | 'model' | 'version' | 'attribute' | 'fact' | 'recovery';

type Narrowing = Exclude<keyof TargetFilter, 'except'>;
type Exceptions = NonNullable<TargetFilter['except']>;

/** The condition of each key; a missing key is a compile error. */
const CONDITION_OF = {
  device_ids: 'device',
  mac_addresses: 'device',
  groups: 'group',
  group: 'group',
  models: 'model',
  versions: 'version',
  metadata: 'attribute',
  facts: 'fact',
  recovers: 'recovery',
} as const satisfies Record<Narrowing, Condition>;

/** The conditions that no device meets if they are stated without a value. */
const EMPTY_IS_NOBODY: Readonly<Record<Condition, boolean>> = {
  device: true,
  group: true,
  model: true,
  version: true,
  attribute: false,
  fact: false,
  recovery: true,
};

const KEYS = Object.keys(CONDITION_OF) as Narrowing[];

/**
 * A condition as text.
 * @param list its values, separated by commas
 */
const TEXTS: Readonly<Record<Condition, (list: string, isOne: boolean) => string>> = {
  device: (list, isOne) => `${isOne ? 'the device' : 'the devices'} ${list}`,
  group: (list, isOne) => `in ${isOne ? 'the group' : 'one of the groups'} ${list}`,
  model: (list, isOne) => `of ${isOne ? 'the model' : 'one of the models'} ${list}`,
  version: (list, isOne) => `on ${isOne ? 'version' : 'one of the versions'} ${list}`,
  attribute: (list, isOne) => `with the ${isOne ? 'attribute' : 'attributes'} ${list}`,
  fact: (list) => `that state ${list}`,
  recovery: (list) => list,
};

/**
 * Describes the devices that a filter targets: `all devices in the group vans, except those on version 1.0.0`.
 * @param most maximum values to list per condition; the others are only counted
 */
export function describeFilter(filter: TargetFilter, most = Number.POSITIVE_INFINITY): string {
  const empty = emptyCondition(filter);
  if (empty !== undefined) return `no device: ${empty} is empty`;
  const texts = (Object.keys(TEXTS) as Condition[]).flatMap((condition) => {
    const values = valuesOf(filter, condition, most);
    return values.length === 0 ? [] : TEXTS[condition](list(values, most), values.length === 1);
  });
  const { except, ...narrowing } = filter;
  const hasDevices = valuesOf(filter, 'device').length > 0;
  const narrowed = [...(hasDevices ? [] : ['all devices']), ...texts, ...unknownKeys(narrowing)].join(' ');
  const exceptions = except === undefined ? [] : exceptionsOf(except, most);
  return exceptions.length === 0 ? narrowed : `${narrowed}, except ${allOf(exceptions)}`;
}

/** Each exception as text: one of them is enough. Each attribute and each fact is an exception by itself. */
function exceptionsOf(except: Exceptions, most: number): string[] {
  const { metadata = {}, facts = {}, ...lists } = except;
  const each = (key: 'metadata' | 'facts', values: object) =>
    Object.entries(values).map(([name, wanted]) => ({ [key]: { [name]: wanted } }));
  const known = [lists, ...each('metadata', metadata), ...each('facts', facts)].flatMap((filter: TargetFilter) =>
    (Object.keys(TEXTS) as Condition[]).flatMap((condition) => {
      const values = valuesOf(filter, condition, most);
      const those = condition === 'device' ? '' : 'those ';
      return values.length === 0 ? [] : those + TEXTS[condition](list(values, most), values.length === 1);
    }),
  );
  return [...known, ...unknownKeys(lists).map((text) => `those ${text}`)];
}

const allOf = (texts: readonly string[]) =>
  texts.length === 1 ? texts[0] : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`;

const keysOf = (filter: TargetFilter, condition: Condition) =>
  KEYS.filter((key) => CONDITION_OF[key] === condition && filter[key] !== undefined);

const valuesOf = (filter: TargetFilter, condition: Condition, most?: number): string[] => [
  ...new Set(keysOf(filter, condition).flatMap((key) => textsOf(filter, key, most))),
];

function textsOf(
  { recovers, metadata, facts, except: _, ...lists }: TargetFilter,
  key: Narrowing,
  most?: number,
): readonly string[] {
  if (key === 'recovers') {
    return recovers ? [`that rollout ${recovers.rollout} updated from ${recovers.previous_versions.join(' or ')}`] : [];
  }
  if (key === 'metadata') {
    return Object.entries(metadata ?? {}).map(([name, wanted]) => formatAttributeCondition(name, wanted, most));
  }
  if (key === 'facts') {
    return Object.entries(facts ?? {}).map(([name, wanted]) => formatFactCondition(name, wanted, most));
  }
  const value = lists[key] ?? [];
  return typeof value === 'string' ? [value] : value;
}

/** The key with an empty list, which no device matches; undefined if there is none. */
function emptyCondition(filter: TargetFilter): string | undefined {
  const conditions = (Object.keys(TEXTS) as Condition[]).filter((condition) => EMPTY_IS_NOBODY[condition]);
  const [first] = conditions.filter(
    (condition) => keysOf(filter, condition).length > 0 && valuesOf(filter, condition).length === 0,
  );
  return first && keysOf(filter, first)[0];
}

const list = (values: readonly string[], most: number): string =>
  values.length <= most
    ? values.join(', ')
    : `${values.slice(0, most).join(', ')} and ${(values.length - most).toLocaleString('en')} more`;

/**
 * Keys sent by a newer service. They are shown unchanged, because the text without them would describe more devices.
 */
const unknownKeys = (filter: object): string[] =>
  Object.entries(filter)
    .filter(([key]) => !(key in CONDITION_OF))
    .map(([key, value]) => `with ${key} ${JSON.stringify(value)}`);
