import type { Sql } from '../../core/db/index.ts';
import { findUnknownGroups, listAssumed, listSharedMacs } from '../../core/devices/index.ts';
import { countWithout, type PreviewedRollout } from '../../core/explain/index.ts';
import { parsePlan, parseTarget } from '../../core/policy/index.ts';
import { someNames } from '../../core/util/index.ts';

type Targeting = Pick<PreviewedRollout, 'target_type' | 'target_filter'> & Partial<Pick<PreviewedRollout, 'stages'>>;

/**
 * Warns of groups of the target, its exceptions or a stage in which no device is, which often are another group in other
 * letters, of MAC addresses that more than one device reports, all of which are targeted, and of devices whose model is assumed and which are named by their ids.
 */
export async function warnOfTarget(sql: Sql, { target_type: type, target_filter: filter, stages = null }: Targeting) {
  const target = parseTarget(type, filter, 100);
  const groups = target.ok ? (target.value.groups ?? []) : [];
  const macs = target.ok ? (target.value.macAddresses ?? []) : [];
  const ids = target.ok ? (target.value.deviceIds ?? []) : [];
  const excepted = target.ok ? (target.value.except?.groups ?? []) : [];
  const named = [...new Set([...groups, ...excepted, ...groupsOfStages(stages)])];
  const unknown = named.length === 0 ? [] : await findUnknownGroups(sql, named);
  const shared = macs.length === 0 ? [] : await listSharedMacs(sql, macs);
  const assumed = ids.length === 0 ? [] : await listAssumed(sql, ids);
  return [
    ...unknown.map(({ group_name: group, similar }) => ({
      code: 'UNKNOWN_GROUP',
      message: `no device is in the group ${group}${similar === null ? '' : `; did you mean ${similar}?`}`,
    })),
    ...shared.map(({ mac, device_ids: devices }) => ({
      code: 'SHARED_MAC',
      message: `more than one device reports the MAC address ${mac}: ${devices.join(', ')}; name the device by its id`,
    })),
    ...(assumed.length === 0
      ? []
      : [
          {
            code: 'ASSUMED_MODEL',
            message: `the model of ${someNames(assumed, assumed.length)} was never stated: an image for another board can make a device unusable`,
          },
        ]),
  ];
}

/** The groups of stages, empty if the stages are invalid, which is reported elsewhere. */
function groupsOfStages(stages: unknown): string[] {
  const plan = parsePlan({ stages, send_window: null, failure_threshold: 0, min_reports: 1 });
  return plan.ok ? (plan.value.stages ?? []).flatMap(({ reach }) => ('group' in reach ? [reach.group] : [])) : [];
}

/**
 * Warns of devices that an exception does not exclude because they have no such attribute or fact: where none has it, which
 * often is a misspelled name, and where at least half of the devices have it. An attribute that only a few have marks these.
 */
export async function warnOfExceptions(
  sql: Sql,
  { device_model: model, target_type: type, target_filter: filter }: Targeting & Pick<PreviewedRollout, 'device_model'>,
) {
  const target = parseTarget(type, filter, 100);
  if (!target.ok || target.value.except === null) return [];
  const { metadata = {}, facts = {} } = target.value.except;
  const properties = [
    ...Object.keys(metadata).map((name) => ({ kind: 'attribute' as const, name })),
    ...Object.keys(facts).map((name) => ({ kind: 'fact' as const, name })),
  ];
  if (properties.length === 0) return [];
  const counted = await countWithout(sql, model, { ...target.value, except: null }, properties);
  return counted
    .filter(({ devices, without }) => without > 0 && (without === devices || without * 2 <= devices))
    .map(({ kind, name, devices, without, similar }) => ({
      code: 'NOT_EXCLUDED',
      message:
        without === devices
          ? `no device has the ${kind} ${name}, so target_filter.except excludes none by it${similar === null ? '' : `; did you mean ${similar}?`}`
          : `${without} of ${devices} devices ${without === 1 ? 'has' : 'have'} no ${kind} ${name}, so target_filter.except does not exclude ${without === 1 ? 'it' : 'them'} by that`,
    }));
}

type Limited = Targeting & Pick<PreviewedRollout, 'device_model' | 'max_in_flight_per'>;

/** Warns of devices without the attribute of `max_in_flight_per`; nothing if all have it, or no device matches. */
export async function warnOfUnlimited(
  sql: Sql,
  { device_model: model, target_type: type, target_filter: filter, max_in_flight_per: limit }: Limited,
) {
  const target = parseTarget(type, filter, 100);
  if (limit === null || !target.ok) return [];
  const { attribute } = limit;
  const [counted] = await countWithout(sql, model, target.value, [{ kind: 'attribute', name: attribute }]);
  if (counted === undefined || counted.without === 0) return [];
  const { devices, without, similar } = counted;
  const hint = similar === null ? '' : `; did you mean ${similar}?`;
  const message =
    without === devices
      ? `no device has the attribute ${attribute}, so max_in_flight_per limits none${hint}`
      : `max_in_flight_per does not limit ${without} of ${devices} devices, which have no attribute ${attribute}`;
  return [{ code: 'NOT_LIMITED', message }];
}
