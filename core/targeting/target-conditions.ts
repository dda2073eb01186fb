import type { Target } from '../policy/index.ts';

/** The conditions of a target on `d` (a row of devices), over values that `of` names. */
const conditionsOver = (of: (name: string) => string) => ({
  models: `(${of('models')} IS NULL OR ${of('models')} ? d.device_model)`,
  list: `(${of('devices')} IS NULL AND ${of('macs')} IS NULL
    OR d.device_id IN (SELECT jsonb_array_elements_text(${of('devices')}))
    OR d.mac_address IN (SELECT jsonb_array_elements_text(${of('macs')})))
  AND (${of('recovers')} IS NULL OR EXISTS (
    SELECT FROM device_update_status AS b
    WHERE b.device_id = d.device_id AND b.rollout_id = (${of('recovers')} ->> 'rollout')::bigint AND b.sends > 0
      AND (${of('recovers')} -> 'previousVersions') ? b.previous_version OFFSET 0))`,
  group: `(${of('groups')} IS NULL OR EXISTS (
    SELECT FROM device_groups AS g WHERE g.device_id = d.device_id
      AND g.group_name IN (SELECT jsonb_array_elements_text(${of('groups')}))))`,
  metadata: `d.metadata @> ${of('metadata')}`,
});

/** The conditions over the parameters of {@link targetValues}. */
const own = conditionsOver((name) => `:${name}::jsonb`);
export const MATCHES_MODEL = `d.device_model = :model AND ${own.models}`;
export const MATCHES_LIST = own.list;
export const MATCHES_GROUP = own.group;
export const MATCHES_VERSION = '(:versions::jsonb IS NULL OR :versions::jsonb ? d.current_firmware_version)';
export const MATCHES_METADATA = own.metadata;

/** A device whose identity was revoked cannot connect: no rollout targets it or waits for it. */
const NOT_REVOKED = 'd.revoked_at IS NULL';

/** Devices that match the filter, including revoked ones. */
export const MATCHES_FILTER = `${MATCHES_MODEL}
  AND ${MATCHES_LIST}
  AND ${MATCHES_GROUP}
  AND ${MATCHES_VERSION}
  AND ${MATCHES_METADATA}`;

/** True if the target still includes the device, whatever version it runs now. */
export const STILL_TARGETED = `${MATCHES_MODEL}
  AND ${MATCHES_LIST}
  AND ${MATCHES_GROUP}
  AND ${MATCHES_METADATA}
  AND ${NOT_REVOKED}`;

/**
 * Devices that `:rollout` targets: they match the filter, or matched it with the version that they had when they were
 * assigned.
 */
export const IS_TARGETED = `${MATCHES_MODEL}
  AND ${MATCHES_LIST}
  AND ${MATCHES_GROUP}
  AND (${MATCHES_VERSION} OR EXISTS (
    SELECT FROM device_update_status AS own_update WHERE own_update.rollout_id = :rollout::bigint AND own_update.device_id = d.device_id))
  AND ${MATCHES_METADATA}
  AND ${NOT_REVOKED}`;

export const targetValues = (model: string, target: Target) => ({
  model,
  versions: target.versions,
  ...listedValues(target),
});

const listedValues = (target: Target) => ({
  devices: target.deviceIds,
  macs: target.macAddresses,
  groups: target.groups,
  models: target.models,
  metadata: target.metadata,
  recovers: target.recovers,
});

/** A rollout with a higher priority than another. It keeps the targeted devices that are on its version. */
export interface HigherPriorityRollout extends ReturnType<typeof listedValues> {
  readonly id: number;
  readonly hashCutoff: string;
  /** The spellings of its version that devices report. */
  readonly onTarget: readonly string[];
}

export const toHigherPriorityRollout = (
  id: number,
  hashCutoff: string,
  onTarget: readonly string[],
  target: Target,
): HigherPriorityRollout => ({
  id,
  hashCutoff,
  onTarget,
  ...listedValues(target),
});

/** True if one of `:higherPriority` targets the device `d` and the device is on its version. */
export const ON_TARGET_OF_HIGHER_PRIORITY = `EXISTS (
    SELECT FROM jsonb_to_recordset(:higherPriority::jsonb) AS k(id bigint, "hashCutoff" text, "onTarget" jsonb, devices jsonb,
      macs jsonb, groups jsonb, models jsonb, metadata jsonb, recovers jsonb)
    WHERE k."onTarget" ? d.current_firmware_version AND md5(k.id || ':' || d.device_id) <= k."hashCutoff"
      AND ${Object.values(conditionsOver((name) => `k.${name}`)).join('\n      AND ')})`;
