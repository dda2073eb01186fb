import { BLOCKED_BY_HIGHER_PRIORITY } from '../assignment/index.ts';
import type { Sql } from '../db/index.ts';
import {
  chooseReleases,
  evaluateVersion,
  parseTarget,
  type RegisteredRelease,
  type VersionVerdict,
} from '../policy/index.ts';
import {
  getRelease,
  loadSteppingStones,
  NO_SIGNATURE_REQUIRED,
  proposeFor,
  type ReleaseDetailRow,
  type RequiresSignature,
} from '../releases/index.ts';
import type { RolloutRuntime } from '../rollouts/index.ts';
import { MATCHES_FILTER, targetValues } from '../targeting/index.ts';

/** A rollout that may not exist yet. */
export interface RolloutDraft
  extends Pick<
    RolloutRuntime,
    | 'firmware_version'
    | 'device_model'
    | 'target_type'
    | 'target_filter'
    | 'rollout_percentage'
    | 'allow_downgrade'
    | 'include_unknown'
    | 'priority'
    | 'stepping_stones'
  > {
  /** The newest release that may be a stepping stone; null: any that is registered now. */
  readonly newest_release_id: number | null;
}

export interface Preview {
  /** Devices that match the filter. */
  readonly matching: number;
  /** Matching devices that `rollout_percentage` includes. */
  readonly targeted: number;
  /** Matching devices that would be updated, directly or through a stepping stone. */
  readonly willBeUpdated: number;
  readonly viaSteppingStone: number;
  /** Decided or proposed, the highest first, each with the devices that get it next. */
  readonly steppingStones: readonly { readonly version: string; readonly devices: number }[];
  /** Why the other matching devices would not be updated. */
  readonly willNot: readonly { readonly reason: string; readonly devices: number }[];
  /** Devices that would be updated but have an open update of another rollout. */
  readonly heldByOthers: readonly HeldDevices[];
}

export interface HeldDevices {
  readonly rollout: string;
  /** `pending`: this rollout takes them over. `under way`: it waits for them. */
  readonly status: 'pending' | 'under way';
  readonly devices: number;
}

/** Says why a command for a device with an id of this length does not fit into its packet; undefined if it fits. */
export type FitsCheck = (idLength: number, family: 'devices' | 'edge' | null) => string | undefined;

/** What decides about a draft besides its values. */
export interface PreviewRules {
  readonly fits: FitsCheck;
  readonly requiresSignature: RequiresSignature;
}

export const NO_RULES: PreviewRules = { fits: () => undefined, requiresSignature: NO_SIGNATURE_REQUIRED };

/** The id of a rollout that does not exist yet: it is newer than every other. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/**
 * Previews what a rollout would do now, with the same conditions and policy as an assignment.
 * @throws Error with the reason if the target is invalid
 */
export async function previewRollout(sql: Sql, draft: RolloutDraft, rules: PreviewRules): Promise<Preview> {
  const read = parseTarget(draft.target_type, draft.target_filter, draft.rollout_percentage);
  if (!read.ok) throw new Error(read.reason);
  const registered = await getRelease(sql, draft.device_model, draft.firmware_version);
  const missing = whyMissing(draft, registered);
  const release = missing === undefined && registered !== undefined ? asTarget(registered) : undefined;
  const steppingStones = release === undefined ? [] : await steppingStonesOf(sql, draft, release, rules);
  // A response of the Data API holds a thousand groups, even with the longest names.
  const groups = await sql.query<PreviewGroup>(
    `SELECT d.current_firmware_version AS version, length(d.device_id) AS id_length, d.command_family AS family,
       w.name AS blocked_by, d.revoked_at IS NOT NULL AS is_revoked,
       o.name AS holder, u.status <> 'pending' OR u.attempt > 0 AS is_under_way, count(*)::integer AS devices
     FROM devices AS d
     LEFT JOIN LATERAL (
       SELECT w.name FROM device_update_status AS u JOIN rollout_configurations AS w ON w.id = u.rollout_id
       WHERE u.device_id = d.device_id AND ${BLOCKED_BY_HIGHER_PRIORITY} LIMIT 1) AS w ON true
     LEFT JOIN device_update_status AS u ON u.device_id = d.device_id AND u.completed_at IS NULL AND u.rollout_id IS NOT NULL
     LEFT JOIN rollout_configurations AS o ON o.id = u.rollout_id
     WHERE ${MATCHES_FILTER}
     GROUP BY version, id_length, family, blocked_by, holder, is_under_way, is_revoked ORDER BY devices DESC LIMIT 1000`,
    { priority: draft.priority, rollout: NEWEST, ...targetValues(draft.device_model, read.target) },
  );
  const policy = { allowDowngrade: draft.allow_downgrade, includeUnknown: draft.include_unknown };
  const evaluated = groups.map((group) => {
    const [choice] = release === undefined ? [] : chooseReleases([group.version], release, steppingStones, policy);
    const reason = whyNot(
      group,
      draft,
      release?.min_version ?? null,
      choice !== undefined ? undefined : (missing ?? ''),
      rules.fits,
    );
    return { ...group, reason, steppingStone: choice?.isSteppingStone === true ? choice.version : null };
  });
  const count = (chosen: readonly PreviewGroup[]) => chosen.reduce((sum, { devices }) => sum + devices, 0);
  const matching = count(groups);
  const updated = evaluated.filter(({ reason }) => reason === undefined);
  const reasons = new Map<string, number>();
  for (const { reason, devices } of evaluated) {
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + devices);
  }
  return {
    matching,
    targeted: Math.ceil((count(groups.filter(({ is_revoked }) => !is_revoked)) * draft.rollout_percentage) / 100),
    willBeUpdated: count(updated),
    viaSteppingStone: count(updated.filter(({ steppingStone }) => steppingStone !== null)),
    steppingStones: steppingStones.map(({ version }) => ({
      version,
      devices: count(updated.filter(({ steppingStone }) => steppingStone === version)),
    })),
    heldByOthers: summarizeHeld(updated),
    willNot: [...reasons].map(([reason, devices]) => ({ reason, devices })).sort((a, b) => b.devices - a.devices),
  };
}

function whyMissing(
  { device_model: model, firmware_version: version }: RolloutDraft,
  release: ReleaseDetailRow | undefined,
): string | undefined {
  if (release === undefined) return `release ${version} is not registered for ${model}`;
  return release.revoked_at === null ? undefined : `release ${version} was revoked: ${release.revoked_reason}`;
}

const asTarget = ({ release_id: id, version, min_version }: ReleaseDetailRow): RegisteredRelease => ({
  id,
  version,
  min_version,
});

/** The stepping stones that were decided, or those that the first tick would decide. */
async function steppingStonesOf(
  sql: Sql,
  draft: RolloutDraft,
  target: RegisteredRelease,
  { requiresSignature }: PreviewRules,
): Promise<readonly RegisteredRelease[]> {
  const choice = { ...draft, min_version: target.min_version };
  if (draft.stepping_stones === null) return proposeFor(sql, choice, target, requiresSignature);
  return loadSteppingStones(sql, choice);
}

function summarizeHeld(groups: readonly PreviewGroup[]): HeldDevices[] {
  const held = new Map<string, HeldDevices>();
  for (const { holder, is_under_way, devices } of groups) {
    if (holder === null) continue;
    const status = is_under_way ? 'under way' : 'pending';
    const before = held.get(`${status} ${holder}`)?.devices ?? 0;
    held.set(`${status} ${holder}`, { rollout: holder, status, devices: before + devices });
  }
  return [...held.values()].sort((a, b) => b.devices - a.devices);
}

interface PreviewGroup {
  readonly version: string;
  readonly id_length: number;
  readonly family: 'devices' | 'edge' | null;
  readonly blocked_by: string | null;
  /** The rollout of the device's open update, and whether a command of that update was sent. */
  readonly holder: string | null;
  readonly is_under_way: boolean | null;
  readonly is_revoked: boolean;
  readonly devices: number;
}

function whyNot(
  { version, id_length, family, blocked_by, is_revoked }: PreviewGroup,
  draft: RolloutDraft,
  minVersion: string | null,
  /** Why the release is missing; undefined if there is a release for the device. */
  missing: string | undefined,
  fits: FitsCheck,
): string | undefined {
  if (is_revoked) return 'its identity was revoked';
  if (missing !== undefined) {
    const policy = { allowDowngrade: draft.allow_downgrade, includeUnknown: draft.include_unknown, minVersion };
    const verdict = evaluateVersion(version, { ...policy, target: draft.firmware_version });
    if (verdict === 'eligible') return missing;
    return PREVIEW_REASONS[verdict](draft.firmware_version, minVersion);
  }
  if (blocked_by !== null) return `kept by rollout "${blocked_by}", which has a higher priority`;
  return fits(id_length, family);
}

const PREVIEW_REASONS: Readonly<
  Record<Exclude<VersionVerdict, 'eligible'>, (target: string, minimum: string | null) => string>
> = {
  'on-target': (target) => `already on ${target}`,
  newer: (target) => `newer than ${target}`,
  'below-minimum': (_, minimum) => `below ${minimum}, and no stepping stone leads there`,
  unknown: () => 'unknown version',
  'not-comparable': (_, minimum) => `on a version that cannot be compared with ${minimum}`,
};
