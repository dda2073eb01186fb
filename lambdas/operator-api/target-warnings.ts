import type { Sql } from '../../core/db/index.ts';
import { findUnknownGroups, listAssumed, listSharedMacs } from '../../core/devices/index.ts';
import type { PreviewedRollout } from '../../core/explain/index.ts';
import { parsePlan, parseTarget } from '../../core/policy/index.ts';
import { someNames } from '../../core/util/index.ts';

type Targeting = Pick<PreviewedRollout, 'target_type' | 'target_filter'> & Partial<Pick<PreviewedRollout, 'stages'>>;

/**
 * Warns of groups of the target or of a stage in which no device is, which often are another group in other letters, of MAC addresses that more than
 * one device reports, all of which are targeted, and of devices whose model is assumed and which are named by their ids.
 */
export async function warnOfTarget(sql: Sql, { target_type: type, target_filter: filter, stages = null }: Targeting) {
  const target = parseTarget(type, filter, 100);
  const groups = target.ok ? (target.value.groups ?? []) : [];
  const macs = target.ok ? (target.value.macAddresses ?? []) : [];
  const ids = target.ok ? (target.value.deviceIds ?? []) : [];
  const named = [...new Set([...groups, ...groupsOfStages(stages)])];
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
