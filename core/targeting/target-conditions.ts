import { IS_WANTED_FACT, isWanted, type Target } from '../policy/index.ts';
import { nothingElse, type RolloutId } from '../util/index.ts';
import { laterTargetCutoff, type TargetCutoffs } from './cutoffs.ts';

/** The conditions of a target filter, in the order in which they are explained. */
export const TARGET_RULES = ['model', 'list', 'group', 'version', 'metadata', 'fact'] as const;
export type TargetRule = (typeof TARGET_RULES)[number];

/** The values of a target, as parameters or as columns of a higher-priority rollout. */
export function listedValues({
  deviceIds,
  macAddresses,
  groups,
  models,
  metadata,
  facts,
  recovers,
  except,
  ...others
}: Unversioned) {
  nothingElse(others);
  return { devices: deviceIds, macs: macAddresses, groups, models, metadata, facts, recovers, excepted: except };
}
type Unversioned = Omit<Target, 'versions'>;
export type ListedValue = keyof ReturnType<typeof listedValues>;

/** The types of the values as columns. */
const LISTED_COLUMNS: Readonly<Record<ListedValue, string>> = {
  devices: 'jsonb',
  macs: 'jsonb',
  groups: 'jsonb',
  models: 'jsonb',
  metadata: 'jsonb',
  facts: 'jsonb',
  recovers: 'jsonb',
  excepted: 'jsonb',
};

/** The values as columns of a record set. */
export const LISTED = Object.entries(LISTED_COLUMNS).map(([name, type]) => `${name} ${type}`);

type Conditions = Readonly<Record<Exclude<TargetRule, 'version'>, string>>;

/**
 * The conditions of a target on `d` (a row of devices), over values that `of` names. Each also says that no exception of
 * its kind holds.
 */
export const conditionsOver = (of: (name: ListedValue) => string): Conditions => ({
  model: `(${of('models')} IS NULL OR ${of('models')} @> to_jsonb(d.device_model))`,
  list: `(${of('devices')} IS NULL AND ${of('macs')} IS NULL
    OR d.device_id IN (SELECT jsonb_array_elements_text(${of('devices')}))
    OR d.mac_address IN (SELECT jsonb_array_elements_text(${of('macs')})))
  AND (${of('excepted')} IS NULL OR d.device_id NOT IN (SELECT jsonb_array_elements_text(${of('excepted')} -> 'deviceIds'))
    AND (d.mac_address IS NULL OR d.mac_address NOT IN (SELECT jsonb_array_elements_text(${of('excepted')} -> 'macAddresses'))))
  AND (${of('recovers')} IS NULL OR EXISTS (
    SELECT FROM device_update_status AS b
    WHERE b.device_id = d.device_id AND b.rollout_id = (${of('recovers')} ->> 'rollout')::bigint AND b.sends > 0
      AND ${of('recovers')} -> 'previousVersions' @> to_jsonb(b.previous_version) OFFSET 0))`,
  group: `(${of('groups')} IS NULL OR EXISTS (
    SELECT FROM device_groups AS g WHERE g.device_id = d.device_id
      AND g.group_name IN (SELECT jsonb_array_elements_text(${of('groups')}))))
  AND (${of('excepted')} -> 'groups' IS NULL OR NOT EXISTS (
    SELECT FROM device_groups AS g WHERE g.device_id = d.device_id
      AND g.group_name IN (SELECT jsonb_array_elements_text(${of('excepted')} -> 'groups'))))`,
  // Bounds of numbers compare as jsonb.
  metadata: `(${of('metadata')} = '{}' OR NOT EXISTS (
    SELECT FROM jsonb_each(${of('metadata')}) AS wanted WHERE NOT ${isWanted('d.metadata -> wanted.key')}))
  AND (${of('excepted')} -> 'metadata' IS NULL OR NOT EXISTS (
    SELECT FROM jsonb_each(${of('excepted')} -> 'metadata') AS wanted WHERE ${isWanted('d.metadata -> wanted.key')}))`,
  fact: `(${of('facts')} = '{}' OR NOT EXISTS (
    SELECT FROM jsonb_each(${of('facts')}) AS wanted WHERE NOT ${IS_WANTED_FACT}))
  AND (${of('excepted')} -> 'facts' IS NULL OR NOT EXISTS (
    SELECT FROM jsonb_each(${of('excepted')} -> 'facts') AS wanted WHERE ${IS_WANTED_FACT}))`,
});

/** The condition on the version that the device `d` runs, over the versions of a target and its exceptions. */
export const versionIn = (versions: string, excepted: string) =>
  `(${versions} IS NULL OR ${versions} @> to_jsonb(d.current_firmware_version))
  AND NOT coalesce(${excepted} -> 'versions' @> to_jsonb(d.current_firmware_version), false)`;

/** True of a device whose model somebody has stated, or that the target names by its id. */
const isStated = (of: (name: ListedValue) => string) =>
  `(NOT d.model_is_assumed OR ${of('devices')} @> to_jsonb(d.device_id) OR ${of('recovers')} IS NOT NULL)`;

/** Names a parameter of {@link targetValues}. */
const parameter = (name: ListedValue) => `:${name}::jsonb`;
const own = conditionsOver(parameter);
const MATCHES_VERSION = versionIn(':versions::jsonb', parameter('excepted'));

/** A device whose identity was revoked cannot connect: no rollout targets it or waits for it. */
export const NOT_REVOKED = 'd.revoked_at IS NULL';

/**
 * A device that reports another model or MAC address than is pinned may be another device: no rollout targets it or
 * waits for it until an operator has accepted the change.
 */
export const IDENTITY_IS_KNOWN = 'd.identity_changed_at IS NULL';

/**
 * A device whose model was never stated may be of any: an image of the assumed model can make it unusable. Only a
 * rollout that names it by its id targets it, or a recovery from a rollout that did.
 */
export const MODEL_IS_STATED = isStated(parameter);

const MAY_BE_UPDATED = `${NOT_REVOKED} AND ${IDENTITY_IS_KNOWN} AND ${MODEL_IS_STATED}`;

/**
 * The conditions of a target filter, each true if the device `d` meets it. `version` also holds for a device that
 * `:rollout` has assigned: it had such a version then.
 */
export const TARGET_CONDITIONS: Readonly<Record<TargetRule, string>> = {
  ...own,
  model: `d.device_model = :model AND ${own.model}`,
  version: `((${MATCHES_VERSION}) OR EXISTS (
    SELECT FROM device_update_status AS own_update WHERE own_update.rollout_id = :rollout::bigint AND own_update.device_id = d.device_id))`,
};

export const allOf = (conditions: readonly string[]) => conditions.join('\n  AND ');

/** Devices that match the filter, including those whose identity was revoked or changed, or whose model is assumed. */
export const MATCHES_FILTER = allOf(Object.values(TARGET_CONDITIONS));

/** Devices that `:rollout` targets, apart from its percentage. */
export const IS_TARGETED = `${MATCHES_FILTER}
  AND ${MAY_BE_UPDATED}`;

const { version: _, ...OF_ANY_VERSION } = TARGET_CONDITIONS;

/** True if the target still includes the device, whatever version it runs now. */
export const STILL_TARGETED = `${allOf(Object.values(OF_ANY_VERSION))}
  AND ${MAY_BE_UPDATED}`;

export const targetValues = (model: string, { versions, ...target }: Target) => ({
  model,
  versions,
  ...listedValues(target),
});

/** A rollout with a higher priority than another. It keeps the targeted devices that are on its version. */
export interface HigherPriorityRollout extends ReturnType<typeof listedValues> {
  readonly id: RolloutId;
  readonly hashCutoff: string;
  readonly laterCutoff: string;
  readonly countedAt: Date | null;
  /** The spellings of its version that devices report. */
  readonly onTarget: readonly string[];
}

export const toHigherPriorityRollout = (
  rollout: TargetCutoffs & { readonly id: RolloutId },
  onTarget: readonly string[],
  { versions: _versions, ...target }: Target,
): HigherPriorityRollout => ({
  id: rollout.id,
  hashCutoff: rollout.target_hash_cutoff ?? '',
  laterCutoff: laterTargetCutoff(rollout),
  countedAt: rollout.counted_at,
  onTarget,
  ...listedValues(target),
});

/** Names a column of a higher-priority rollout `k`. */
const column = (name: ListedValue) => `k.${name}`;

/** Selects those of `:higherPriority` (`k`) that target the device `d` and whose version it runs. */
const HIGHER_PRIORITY_ON_TARGET = `jsonb_to_recordset(:higherPriority::jsonb) AS k(id bigint, "hashCutoff" text, "laterCutoff" text,
      "countedAt" timestamptz, "onTarget" jsonb, ${LISTED.join(', ')})
    WHERE k."onTarget" @> to_jsonb(d.current_firmware_version)
      AND md5(k.id || ':' || d.device_id) <= CASE WHEN d.registered_at > k."countedAt" THEN k."laterCutoff" ELSE k."hashCutoff" END
      AND ${allOf([...Object.values(conditionsOver(column)), isStated(column)])}`;

export const ON_TARGET_OF_HIGHER_PRIORITY = `EXISTS (SELECT FROM ${HIGHER_PRIORITY_ON_TARGET})`;

/** The id of one of them; null if there is none. */
export const KEEPER = `(SELECT k.id FROM ${HIGHER_PRIORITY_ON_TARGET} ORDER BY k.id DESC LIMIT 1)`;
