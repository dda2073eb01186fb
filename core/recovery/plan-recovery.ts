import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import {
  type BadRelease,
  type EarlierRelease,
  evaluateRecovery,
  type RecoveryRules,
  ROLLOUT_STATES,
  type RolloutState,
} from '../policy/index.ts';
import { runsRelease } from '../protocol/index.ts';
import type { TrustRule } from '../release-policy/index.ts';
import { type DeviceId, ID, type RolloutId } from '../util/index.ts';
import {
  type BadRollout,
  loadEarlierReleases,
  loadUpdatedGroups,
  NAMED_DEVICES,
  type UpdatedGroup,
} from './updated-devices.ts';

/** The devices that are sent back to one release. */
export interface RecoveryPart {
  readonly release: EarlierRelease;
  /** The versions that they reported before the update: names of this release. */
  readonly previousVersions: readonly string[];
  readonly devices: number;
  /** Those among them that went silent in the update: they may run the bad release, or not. */
  readonly mayRun: number;
  /** Those among them that are held: they are sent back once the hold has ended. */
  readonly held: number;
}

/** Devices that cannot be sent back, and why. */
export interface Unrecoverable {
  readonly reason: string;
  readonly devices: number;
  /** Some of them, in the order of their ids. */
  readonly deviceIds: readonly DeviceId[];
}

const knownRecovery = z.strictObject({
  rollout_id: ID.rollout,
  name: z.string(),
  firmware_version: z.string(),
  state: z.enum(ROLLOUT_STATES),
  devices: z.int(),
  pending: z.int(),
  in_progress: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  canceled: z.int(),
});

/** A recovery of the rollout: a rollout of its own. */
export type KnownRecovery = RowOf<typeof knownRecovery>;

/** What a recovery would do now. */
export interface RecoveryPlan {
  readonly parts: readonly RecoveryPart[];
  readonly cannot: readonly Unrecoverable[];
  /** Devices that are still downloading or booting the bad release; a recovery takes them once they run it. */
  readonly underWay: number;
  /** Names by which devices report the bad release. */
  readonly badVersions: readonly string[];
  readonly recoveries: readonly KnownRecovery[];
}

const ENDED: readonly RolloutState[] = ['completed', 'aborted'];

/** The recoveries among these that have not ended. */
export const openOnes = (recoveries: readonly KnownRecovery[]): KnownRecovery[] =>
  recoveries.filter(({ state }) => !ENDED.includes(state));

/** The recoveries of a rollout, newest first. */
export function listRecoveries(sql: Sql, rolloutId: RolloutId): Promise<KnownRecovery[]> {
  return select(
    sql,
    knownRecovery,
    `SELECT o.rollout_id, o.name, o.firmware_version, o.state, o.devices, o.pending, o.in_progress, o.succeeded, o.failed,
       o.canceled
     FROM rollout_configurations AS r JOIN rollout_overview AS o ON o.rollout_id = r.id
     WHERE r.target_filter @> jsonb_build_object('recovers', jsonb_build_object('rollout', :rollout::bigint))
     ORDER BY r.id DESC LIMIT 100`,
    { rollout: rolloutId },
  );
}

/** Plans what would be sent back now: the devices that run the version of the rollout, or may run it, to the version before. */
export async function planRecovery(
  sql: Sql,
  rollout: BadRollout,
  trust: TrustRule,
  now: Date,
  rules: RecoveryRules = {},
): Promise<RecoveryPlan> {
  const recoveries = await listRecoveries(sql, rollout.rollout_id);
  const open = openOnes(recoveries).map(({ rollout_id }) => rollout_id);
  const groups = await loadUpdatedGroups(sql, rollout, open);
  const versions = [rollout.firmware_version, ...groups.flatMap(({ previous_version: before }) => before ?? [])];
  const releases = await loadEarlierReleases(sql, rollout.device_model, [...new Set(versions)], trust, now);
  const bad: BadRelease = releases.find(({ version }) => version === rollout.firmware_version) ?? {
    version: rollout.firmware_version,
    secure_version: 0,
  };
  const parts = new Map<number, RecoveryPart>();
  const cannot = new Map<string, Unrecoverable>();
  let underWay = 0;
  for (const group of groups) {
    const verdict = evaluateRecovery(group, bad, releases, rules);
    if (verdict.kind === 'under way') underWay += group.devices;
    if (verdict.kind === 'cannot')
      cannot.set(verdict.reason, addUnrecoverable(cannot.get(verdict.reason), group, verdict.reason));
    if (verdict.kind === 'recover') {
      const { release, mayRun } = verdict;
      parts.set(release.id, addPart(parts.get(release.id), group, release, mayRun));
    }
  }
  const unread = (groups[0]?.total ?? 0) - groups.reduce((sum, { devices }) => sum + devices, 0);
  const reason = 'not examined, because there are too many versions; recover once more for these';
  return {
    parts: [...parts.values()],
    cannot: [...cannot.values(), ...(unread > 0 ? [{ reason, devices: unread, deviceIds: [] }] : [])],
    underWay,
    badVersions: [
      ...new Set([
        bad.version,
        ...groups.map(({ version }) => version).filter((name) => runsRelease(name, bad.version)),
      ]),
    ],
    recoveries,
  };
}

function addPart(
  part: RecoveryPart | undefined,
  { previous_version: before, devices, held }: UpdatedGroup,
  release: EarlierRelease,
  mayRun: boolean,
): RecoveryPart {
  return {
    release,
    previousVersions: [
      ...new Set([...(part?.previousVersions ?? [release.version]), ...(before === null ? [] : [before])]),
    ],
    devices: (part?.devices ?? 0) + devices,
    mayRun: (part?.mayRun ?? 0) + (mayRun ? devices : 0),
    held: (part?.held ?? 0) + held,
  };
}

const addUnrecoverable = (
  known: Unrecoverable | undefined,
  { devices, device_ids }: UpdatedGroup,
  reason: string,
): Unrecoverable => ({
  reason,
  devices: (known?.devices ?? 0) + devices,
  deviceIds: [...(known?.deviceIds ?? []), ...device_ids].sort().slice(0, NAMED_DEVICES),
});
