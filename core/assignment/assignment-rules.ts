import { isHeld } from '../holds/index.ts';
import { BARS } from '../policy/index.ts';
import {
  barsOf,
  hasKnownIssue,
  IDENTITY_IS_KNOWN,
  IN_SHARE,
  IN_STAGE,
  imageOf,
  imagesOf,
  MODEL_IS_STATED,
  NOT_REVOKED,
  ON_TARGET_OF_HIGHER_PRIORITY,
  TARGET_CONDITIONS,
  TARGET_RULES,
} from '../targeting/index.ts';

/**
 * The rules by which a rollout assigns a device `d`, in the order in which they are explained. Assignment, preview and
 * explanation are made of these conditions and no others.
 */
export const RULES = [
  'revoked',
  'identity',
  ...TARGET_RULES,
  'stated',
  'share',
  'eligible',
  'assigned',
  'kept',
  'blocked',
  ...BARS,
  'known issue',
  'held',
  'busy',
  'stage',
] as const;
export type Rule = (typeof RULES)[number];

const HIGHER_PRIORITY_ROLLOUTS = `SELECT w.id FROM rollout_configurations AS w WHERE (w.priority, w.id) > (:priority::integer, :rollout::bigint)`;

/**
 * True if an update `u` blocks its device from the rollout of the parameters: it belongs to a higher-priority rollout
 * that is active and has not ended, or it succeeded in a higher-priority rollout that is newer.
 */
export const BLOCKED_BY_HIGHER_PRIORITY = `u.status <> 'canceled' AND (
           u.rollout_id IN (${HIGHER_PRIORITY_ROLLOUTS} AND w.is_active AND w.completed_at IS NULL AND w.aborted_at IS NULL)
           OR u.status = 'success' AND u.rollout_id IN (${HIGHER_PRIORITY_ROLLOUTS} AND w.id > :rollout::bigint))`;

/** True if an update `u` keeps its device from being assigned now; the rollout waits for it or takes it over. */
export const HAS_OPEN_UPDATE = 'u.completed_at IS NULL AND u.rollout_id IS NOT NULL';

/**
 * True if the device `d` has an update for which the condition holds. OFFSET 0 keeps this a lookup by device: for a
 * rollout that statistics do not cover yet, the planner would otherwise choose a join as if it had almost no rows.
 */
const hasUpdate = (condition: string) => `EXISTS (
           SELECT FROM device_update_status AS u WHERE u.device_id = d.device_id AND ${condition} OFFSET 0)`;

/** What differs between the statements that use the rules. */
export interface RuleInputs {
  /** True if the version of the device may be updated. */
  readonly eligible: string;
  /** The version that it would be updated to. */
  readonly version: string;
  /** The limits of images by the versions of their releases, as `imagesOf` selects them. */
  readonly images: string;
  /** True if `rollout_percentage` includes the device. */
  readonly share: string;
  /** True if the present stage includes the device. */
  readonly stage: string;
}

/** By the cutoffs that were stored when the rollout, or its stage, began. */
export const BY_STORED_CUTOFF: Pick<RuleInputs, 'share' | 'stage'> = {
  share: IN_SHARE,
  stage: IN_STAGE,
};

/** A rollout sends different releases to different versions: a map from the version of the device to its release. */
export const BY_RELEASE_MAP: Pick<RuleInputs, 'eligible' | 'version' | 'images'> = {
  eligible: '(:releases::jsonb -> d.current_firmware_version IS NOT NULL)',
  version: '(:releases::jsonb ->> d.current_firmware_version)',
  images: imagesOf('f.version IN (SELECT value FROM jsonb_each_text(:releases::jsonb))'),
};

/** The limits of the image that a device `d` would be sent, over {@link BY_RELEASE_MAP}; null if there is none. */
export const IMAGE_BY_RELEASE_MAP = imageOf(BY_RELEASE_MAP.images, BY_RELEASE_MAP.version);

/**
 * The condition of each rule, true if the device passes it.
 *
 * `assigned` is checked separately and early: in a fleet that was scanned before, it decides for every device, and an
 * index on assigned updates answers it. The addition keeps the planner from an index by rollout, in which it expects
 * almost no rows for a new rollout.
 */
export const conditionsOf = ({
  eligible,
  version,
  images,
  share,
  stage,
}: RuleInputs): Readonly<Record<Rule, string>> => ({
  revoked: NOT_REVOKED,
  identity: IDENTITY_IS_KNOWN,
  ...TARGET_CONDITIONS,
  stated: MODEL_IS_STATED,
  share,
  eligible,
  assigned: `NOT ${hasUpdate(`u.rollout_id + 0 = :rollout AND u.firmware_version = ${version} AND NOT u.is_reclaimable`)}`,
  blocked: `NOT ${hasUpdate(`(${BLOCKED_BY_HIGHER_PRIORITY})`)}`,
  kept: `NOT ${ON_TARGET_OF_HIGHER_PRIORITY}`,
  ...barsOf(imageOf(images, version)),
  'known issue': `NOT ${hasKnownIssue(version)}`,
  held: `NOT ${isHeld('d.device_id')}`,
  busy: `NOT ${hasUpdate(HAS_OPEN_UPDATE)}`,
  stage,
});

/** True if the device passes every rule, except the given ones. */
export const passesAll = (inputs: RuleInputs, ...except: readonly Rule[]): string => {
  const conditions = conditionsOf(inputs);
  return RULES.filter((rule) => !except.includes(rule))
    .map((rule) => conditions[rule])
    .join('\n         AND ');
};

/** The first rule that the device does not pass, except the given ones; null if it passes all others. */
export const firstFailed = (inputs: RuleInputs, ...except: readonly Rule[]): string => {
  const conditions = conditionsOf(inputs);
  const cases = RULES.filter((rule) => !except.includes(rule)).map(
    (rule) => `WHEN NOT coalesce((${conditions[rule]}), false) THEN '${rule}'`,
  );
  return `CASE ${cases.join('\n         ')} END`;
};
