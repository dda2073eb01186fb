import type { Target } from './target-filter.ts';

/** The parts of a target as conditions on `d` (a row of devices) over the parameters of {@link targetValues}. */
export const MATCHES_MODEL = 'd.device_model = :model AND (:models::jsonb IS NULL OR :models::jsonb ? d.device_model)';
export const MATCHES_LIST = `(:devices::jsonb IS NULL AND :macs::jsonb IS NULL
    OR d.device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))
    OR d.mac_address IN (SELECT jsonb_array_elements_text(:macs::jsonb)))`;
export const MATCHES_GROUP = `(:groups::jsonb IS NULL OR EXISTS (
    SELECT FROM device_groups AS g WHERE g.device_id = d.device_id
      AND g.group_name IN (SELECT jsonb_array_elements_text(:groups::jsonb))))`;
export const MATCHES_VERSION = '(:versions::jsonb IS NULL OR :versions::jsonb ? d.current_firmware_version)';
export const MATCHES_METADATA = 'd.metadata @> :metadata::jsonb';

/** Which devices the filter means. */
export const TARGET_CONDITION = `${MATCHES_MODEL}
  AND ${MATCHES_LIST}
  AND ${MATCHES_GROUP}
  AND ${MATCHES_VERSION}
  AND ${MATCHES_METADATA}`;

export const targetValues = (model: string, target: Target) => ({
  model,
  devices: target.deviceIds,
  macs: target.macAddresses,
  groups: target.groups,
  models: target.models,
  versions: target.versions,
  metadata: target.metadata,
});
