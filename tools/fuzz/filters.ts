import fc from 'fast-check';
import { parseTarget, TARGET_TYPES, targetFilter } from '../../core/policy/index.ts';
import { hostileObject, hostileValue } from './hostile.ts';

const KEYS = Object.keys(targetFilter.shape);
const list = fc.array(fc.constantFrom('van-1', 'vans', '1.0.0', 'AA:BB:CC:DD:EE:FF'), { maxLength: 3 });
const exceptions = {
  device_ids: list,
  mac_addresses: list,
  groups: list,
  versions: list,
  metadata: hostileValue,
  facts: hostileValue,
};
const good = fc.record(
  {
    ...{ device_ids: list, groups: list, models: list, versions: list },
    metadata: fc.dictionary(fc.constantFrom('site', 'revision'), fc.oneof(list, fc.string(), fc.integer())),
    except: fc.oneof(fc.record(exceptions, { requiredKeys: [] }), hostileObject(Object.keys(exceptions), hostileValue)),
  },
  { requiredKeys: [] },
);

export const hostileFilter = fc.record({
  type: fc.constantFrom(...TARGET_TYPES),
  filter: fc.oneof(
    { weight: 3, arbitrary: hostileObject([...KEYS, 'device_id', 'Groups'], hostileValue) },
    { weight: 1, arbitrary: fc.tuple(good, hostileObject(KEYS, hostileValue)).map(([a, b]) => ({ ...a, ...b })) },
    { weight: 1, arbitrary: good },
    { weight: 1, arbitrary: hostileValue.map((value) => JSON.parse(JSON.stringify(value) ?? 'null') as unknown) },
  ),
  percentage: fc.integer({ min: 0, max: 100 }),
});

/** @throws Error unless the filter is refused with a reason, or has a condition for each of its keys */
export function checkFilter(sent: typeof hostileFilter extends fc.Arbitrary<infer T> ? T : never): void {
  const { type, filter, percentage } = sent;
  const result = parseTarget(type, filter, percentage);
  if (!result.ok) {
    if (result.reason.length === 0) throw new Error('it was refused without a reason');
    return;
  }
  const keys = Object.keys(filter as object);
  const unknown = keys.find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Error(`the key ${unknown} was taken`);
  // Attributes and facts that are not stated are none, which every device has.
  const { metadata: _, facts: __, ...others } = result.value;
  const conditions = Object.values(others).filter((value) => value !== null).length;
  const stated =
    keys.filter((key) => key !== 'metadata' && key !== 'facts').length -
    (keys.includes('group') && keys.includes('groups') ? 1 : 0);
  const { except } = result.value;
  if (except !== null) checkExceptions((filter as { except: object }).except, except);
  if (conditions !== stated) throw new Error(`${stated} conditions were stated, ${conditions} hold`);
}

/** @throws Error unless each stated exception excludes something: an empty one would exclude no device */
function checkExceptions(sent: object, taken: object): void {
  const count = (of: object) => Object.values(of).filter((value) => value !== undefined).length;
  if (count(sent) === 0 || count(sent) !== count(taken)) {
    throw new Error(`${count(sent)} exceptions were stated, ${count(taken)} hold`);
  }
  for (const [name, value] of Object.entries(taken)) {
    if (value !== undefined && Object.keys(value as object).length === 0)
      throw new Error(`the exception ${name} is empty`);
  }
}
