import { describeBarOfMany, describeIssues, isBar } from '../policy/index.ts';
import { evaluateVersion, type VersionPolicy, type VersionVerdict } from '../protocol/index.ts';
import type { KnownIssue } from '../targeting/index.ts';
import type { PreviewGroup } from './preview-groups.ts';
import type { PreviewedRollout } from './previewed-rollout.ts';

/** What the reasons of a preview are made of. */
export interface ReasonBasis {
  readonly policy: Omit<VersionPolicy, 'target'>;
  /** Why the release is missing, or must not be sent; undefined if it may be. */
  readonly missing: string | undefined;
  readonly knownIssues: readonly KnownIssue[];
}

/** Why the devices of a group are not updated; undefined if they are. */
export function whyNot(
  { version, rule, by_rollout: by, image, least, most, issues }: PreviewGroup,
  rollout: PreviewedRollout,
  { policy, missing, knownIssues }: ReasonBasis,
): string | undefined {
  if (rule === null) return undefined;
  if (rule === 'revoked') return 'its identity was revoked';
  if (rule === 'identity') return 'reports another model or MAC address; accept it with `paku-ota device accept`';
  if (rule === 'stated') {
    return 'its model was never stated; state it with `paku-ota device accept`, or name the device by its id';
  }
  if (rule === 'share') return `outside of the ${rollout.rollout_percentage}% that take part`;
  if (rule === 'assigned') return 'assigned by this rollout already';
  if (rule === 'blocked') return `kept by rollout "${by}", which has a higher priority`;
  if (isBar(rule) && image !== null && least !== null && most !== null) {
    return describeBarOfMany(rule, image, { least, most });
  }
  if (rule === 'kept') return `on the version of rollout "${by}", which has a higher priority`;
  if (rule === 'known issue') return describeIssues(knownIssues.filter(({ issue_id: id }) => issues.includes(id)));
  if (rule !== 'eligible') return 'does not match the filter';
  const verdict = evaluateVersion(version, { ...policy, target: rollout.firmware_version });
  if (verdict === 'eligible') return missing ?? 'its version was first reported a moment ago';
  return PREVIEW_REASONS[verdict](rollout.firmware_version, policy.minVersion);
}

const PREVIEW_REASONS: Readonly<
  Record<Exclude<VersionVerdict, 'eligible'>, (target: string, minimum: string | null) => string>
> = {
  'on-target': (target) => `already on ${target}`,
  newer: (target) => `newer than ${target}`,
  'below-minimum': (_, minimum) => `below ${minimum}, and no stepping stone leads there`,
  'lower-counter': (target) =>
    `on a version with a higher anti-rollback counter than ${target}, which their bootloader would refuse`,
  unknown: () => 'unknown version',
  'not-comparable': (target, minimum) =>
    `on a version that has no order with ${minimum === null ? target : `${target} or ${minimum}`}`,
};
