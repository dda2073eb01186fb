import type { Rule } from '../assignment/index.ts';
import type { Sql } from '../db/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import {
  type Coverage,
  chooseReleases,
  coveringStage,
  parsePlan,
  parseTarget,
  type RegisteredRelease,
  type Stage,
  stageSizes,
  type Target,
} from '../policy/index.ts';
import { NO_SIGNATURE_REQUIRED, type TrustRule, whyNotSendable } from '../release-policy/index.ts';
import { getRelease, loadCounters, loadSteppingStones, proposeFor, type ReleaseDetailRow } from '../releases/index.ts';
import {
  listFailuresOfRelease,
  listVersionsInUse,
  loadCoverage,
  loadHigherPriorityRollouts,
} from '../rollouts/index.ts';
import type { HigherPriorityRollout } from '../targeting/index.ts';
import { countWithoutExceptions } from './count-without.ts';
import type { DeviceChange } from './device-change.ts';
import { countInGroups, loadGroupsOfSome, loadPreviewGroups, type PreviewGroup } from './preview-groups.ts';
import type { PreviewedRollout } from './previewed-rollout.ts';
import {
  type BusyDevices,
  type HeldGroup,
  summarizeBusy,
  summarizeHeld,
  summarizeReasons,
  withStatedOfAll,
} from './summarize-groups.ts';
import { type ReasonBasis, whyNot } from './why-not.ts';

export interface PreviewStage {
  /** Devices that this stage adds. */
  readonly devices: number;
  /** Those of them that would be updated now; null if the rollout is not saved. */
  readonly willBeUpdated: number | null;
}

export interface Preview {
  /** Devices that match the filter. */
  readonly matching: number;
  /** Devices that match the filter apart from its `except`. */
  readonly excluded: number;
  /** Matching devices that `rollout_percentage` includes. */
  readonly targeted: number;
  /** Devices that would be updated, directly or through a stepping stone; of a draft, as if the percentage were 100. */
  readonly willBeUpdated: number;
  readonly viaSteppingStone: number;
  /** Of those, boards that failed in their last rollout, which others finished: they are sampled last and set apart. */
  readonly setApart: number;
  /** Decided or proposed, the highest first, each with the devices that get it next. */
  readonly steppingStones: readonly { readonly version: string; readonly devices: number }[];
  readonly stages: readonly PreviewStage[];
  /** Why the other matching devices would not be updated. */
  readonly willNot: readonly { readonly reason: string; readonly devices: number }[];
  /** Devices that would be updated but have an open update of another rollout. */
  readonly heldByOthers: readonly BusyDevices[];
  /** Devices that would be updated but are held, by their first hold. */
  readonly held: readonly HeldGroup[];
  /** Devices that known issues, and nothing else, keep from the version that they would be sent. */
  readonly keptByIssues: readonly KeptDevices[];
  /** How the first stage covers the names of `first_stage_covers`; none once that stage has begun. */
  readonly coverage: readonly Coverage[];
  /** Devices that this stage adds. */
  readonly firstStage: number;
  /** Rollouts in which the release failed before. */
  readonly failedBefore: readonly string[];
}

export interface KeptDevices {
  /** Ids of the issues. */
  readonly issues: readonly number[];
  readonly version: string;
  readonly devices: number;
}

/** Says why a command for a device with an id of this length does not fit into its packet; undefined if it fits. */
export type FitsCheck = (idLength: number, family: 'devices' | 'edge' | null) => string | undefined;

/** What decides about a rollout besides its values. */
export interface PreviewRules {
  readonly fits: FitsCheck;
  readonly trust: TrustRule;
  readonly now: Date;
}

export const NO_RULES: PreviewRules = { fits: () => undefined, trust: NO_SIGNATURE_REQUIRED, now: new Date(0) };

/** A rollout whose target or stages cannot be read. */
export class InvalidRolloutError extends Error {
  override readonly name = 'InvalidRolloutError';
}

/**
 * Previews what a rollout would do now, by the same rules as an assignment.
 * @throws InvalidRolloutError with the reason if the target or the stages are invalid
 */
export async function previewRollout(sql: Sql, rollout: PreviewedRollout, rules: PreviewRules): Promise<Preview> {
  const basis = await loadBasis(sql, rollout, rules);
  const { target, stages, steppingStones, releases, higherPriority } = basis;
  const covering = await loadCovering(sql, rollout, basis, rules.now);
  const groups = await loadPreviewGroups(sql, rollout, target, stages, higherPriority, basis, covering);
  const merged = withStatedOfAll(groups);
  const evaluated = merged.map((group) => ({
    ...group,
    reason: reasonOf(group, rollout, basis, rules),
  }));
  const updated = evaluated.filter(({ reason }) => reason === undefined);
  const isTargeted = ({ rule, stage }: PreviewGroup) =>
    rollout.isSaved ? stage !== null : rule === null || !NEVER_TARGETED.includes(rule);
  const mayTakePart = count(groups.filter(isTargeted));
  const targeted = rollout.isSaved ? mayTakePart : Math.ceil((mayTakePart * rollout.rollout_percentage) / 100);
  const nextOf = ({ version }: PreviewGroup) => releases[version];
  const stones = steppingStones.map(({ version }) => ({
    version,
    devices: count(updated.filter((group) => nextOf(group) === version)),
  }));
  const planned = rollout.isSaved
    ? stagesOf(stages, groups, updated)
    : plannedStages(stages, targeted, await countInGroups(sql, rollout.device_model, target, stages));
  return {
    matching: count(groups),
    excluded: await countExcluded(sql, rollout, target, count(groups)),
    targeted,
    willBeUpdated: count(updated),
    viaSteppingStone: stones.reduce((sum, { devices }) => sum + devices, 0),
    setApart: count(updated.filter(({ failed_before }) => failed_before)),
    steppingStones: stones,
    stages: planned,
    coverage: covering.names,
    firstStage: planned[covering.stage]?.devices ?? 0,
    heldByOthers: summarizeBusy(updated),
    held: summarizeHeld(updated),
    keptByIssues: groups.flatMap((group) => {
      const version = nextOf(group);
      const isKept = group.rule === 'known issue' && rules.fits(group.id_length, group.family) === undefined;
      return isKept && version !== undefined ? { issues: group.issues, version, devices: group.devices } : [];
    }),
    willNot: summarizeReasons(evaluated),
    failedBefore: await listFailuresOfRelease(sql, rollout.device_model, rollout.firmware_version),
  };
}

async function countExcluded(sql: Sql, rollout: PreviewedRollout, target: Target, matching: number): Promise<number> {
  if (target.except === null) return 0;
  return Math.max(0, (await countWithoutExceptions(sql, rollout.device_model, target, rollout.id)) - matching);
}

/** The devices that the first stage takes before others, and how they cover its names; none once the stage has begun. */
type Covering = Awaited<ReturnType<typeof loadCoverage>> & { readonly stage: number };

async function loadCovering(
  sql: Sql,
  rollout: PreviewedRollout,
  { target, stages, releases }: Basis,
  now: Date,
): Promise<Covering> {
  const first = coveringStage(stages);
  const hasBegun = rollout.stage_hash_cutoff !== null && rollout.stage >= (first?.index ?? 0);
  if (first === undefined || hasBegun) return { devices: [], names: [], stage: 0 };
  const coverage = await loadCoverage(sql, rollout, target, first.reach, Object.keys(releases), now);
  return { ...coverage, stage: first.index };
}

/** The rules by which no rollout of any percentage targets a device that matches its filter. */
const NEVER_TARGETED: readonly Rule[] = ['revoked', 'identity', 'stated'];

/** What the preview of a rollout reads before it counts devices. */
interface Basis extends ReasonBasis {
  readonly target: Target;
  readonly stages: readonly Stage[] | null;
  readonly steppingStones: readonly RegisteredRelease[];
  /** The release that each version is updated to. */
  readonly releases: Readonly<Record<string, string>>;
  readonly higherPriority: readonly HigherPriorityRollout[];
}

/** @param versions that devices may have besides those in use on the model */
async function loadBasis(
  sql: Sql,
  rollout: PreviewedRollout,
  rules: PreviewRules,
  versions: readonly string[] = [],
): Promise<Basis> {
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!target.ok) throw new InvalidRolloutError(target.reason);
  const plan = parsePlan(rollout);
  if (!plan.ok) throw new InvalidRolloutError(plan.reason);
  const release = await getRelease(sql, rollout.device_model, rollout.firmware_version);
  const missing = whyMissing(rollout, release, rules);
  const goal = missing === undefined && release !== undefined ? asTarget(release) : undefined;
  const steppingStones = goal === undefined ? [] : await steppingStonesOf(sql, rollout, goal, rules);
  const versionsInUse = [...new Set([...(await listVersionsInUse(sql, rollout.device_model)), ...versions])];
  const policy = {
    allowDowngrade: rollout.allow_downgrade,
    includeUnknown: rollout.include_unknown,
    counters: await loadCounters(sql, rollout, rules.trust),
    minVersion: release?.min_version ?? null,
  };
  const choices = goal === undefined ? [] : chooseReleases(versionsInUse, goal, steppingStones, policy);
  const releases = Object.fromEntries(
    choices.flatMap(({ version, fromVersions }) => fromVersions.map((from) => [from, version])),
  );
  const higherPriority = await loadHigherPriorityRollouts(sql, rollout, versionsInUse);
  return {
    target: target.value,
    stages: plan.value.stages,
    policy,
    missing,
    steppingStones,
    releases,
    higherPriority,
    knownIssues: await loadKnownIssues(sql, rollout, target.value, steppingStones),
  };
}

const reasonOf = (group: PreviewGroup, rollout: PreviewedRollout, basis: Basis, { fits }: PreviewRules) =>
  whyNot(group, rollout, basis) ?? fits(group.id_length, group.family);

/**
 * How many of the devices of a change a saved rollout would update because of it, by the same rules as its preview.
 * @param versions that these devices run
 * @throws InvalidRolloutError with the reason if the target or the stages are invalid
 */
export async function countReached(
  sql: Sql,
  rollout: PreviewedRollout,
  rules: PreviewRules,
  change: DeviceChange,
  versions: readonly string[],
): Promise<number> {
  const basis = await loadBasis(sql, rollout, rules, versions);
  const countUpdated = async (isChanged: boolean) => {
    const { target, higherPriority } = basis;
    const groups = await loadGroupsOfSome(sql, rollout, target, higherPriority, basis, change, isChanged);
    const updated = groups.filter((group) => reasonOf(group, rollout, basis, rules) === undefined);
    return { all: count(updated), unheld: count(updated.filter(({ holds }) => holds.length === 0)) };
  };
  const after = await countUpdated(true);
  if (after.all === 0) return 0;
  const before = await countUpdated(false);
  // A change can also release a device from the hold of a group.
  return Math.max(0, after.all - before.all, after.unheld - before.unheld);
}

const count = (groups: readonly PreviewGroup[]) => groups.reduce((sum, { devices }) => sum + devices, 0);

function stagesOf(
  stages: readonly Stage[] | null,
  groups: readonly PreviewGroup[],
  updated: readonly PreviewGroup[],
): PreviewStage[] {
  const within = (of: readonly PreviewGroup[], index: number) => count(of.filter(({ stage }) => stage === index));
  return (stages ?? [null]).map((_, index) => ({
    devices: within(groups, index),
    willBeUpdated: within(updated, index),
  }));
}

function plannedStages(
  stages: readonly Stage[] | null,
  targeted: number,
  inGroups: ReadonlyMap<number, number>,
): PreviewStage[] {
  const sizes = stageSizes(stages, targeted, inGroups);
  return sizes.map((size, index) => ({ devices: Math.max(0, size - (sizes[index - 1] ?? 0)), willBeUpdated: null }));
}

function whyMissing(
  { device_model: model, firmware_version: version }: PreviewedRollout,
  release: ReleaseDetailRow | undefined,
  { trust, now }: PreviewRules,
): string | undefined {
  if (release === undefined) return `release ${version} is not registered for ${model}`;
  return whyNotSendable(release, trust, now);
}

const asTarget = ({ release_id: id, version, min_version }: ReleaseDetailRow): RegisteredRelease => ({
  id,
  version,
  min_version,
});

/** The stepping stones that were decided, or those that the first tick would decide. */
async function steppingStonesOf(
  sql: Sql,
  rollout: PreviewedRollout,
  target: RegisteredRelease,
  { trust, now }: PreviewRules,
): Promise<readonly RegisteredRelease[]> {
  const choice = { ...rollout, min_version: target.min_version };
  if (rollout.stepping_stones === null) return proposeFor(sql, choice, target, trust, now);
  return loadSteppingStones(sql, choice, trust, now);
}
