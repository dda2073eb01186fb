import * as z from 'zod';
import { holdValues, scanStateOf, WAITS_FOR_HOLD } from '../assignment/index.ts';
import { type Sql, select } from '../db/index.ts';
import { HELD_BY_EACH, HELD_BY_NAME, HOLD, heldBy } from '../holds/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import {
  chooseReleases,
  decideRollout,
  describeDecision,
  describeHold,
  describeIssues,
  describePredecessor,
  parsePlan,
  parseTarget,
} from '../policy/index.ts';
import { uploadKey } from '../protocol/index.ts';
import { NO_SIGNATURE_REQUIRED, type TrustRule } from '../release-policy/index.ts';
import { findRejection, loadCounters, loadSteppingStones } from '../releases/index.ts';
import {
  gatesOf,
  hasSilence,
  listVersionsInUse,
  loadControlGroup,
  loadHigherPriorityRollouts,
  loadRolloutRuntime,
  NO_CONTROL_GROUP,
  numbersOf,
  type RolloutRuntime,
} from '../rollouts/index.ts';
import { MATCHES_FILTER, targetValues } from '../targeting/index.ts';
import { findFullValues } from '../updates/index.ts';
import { type RolloutId, someNames } from '../util/index.ts';

/** What a rollout is doing or waiting for, as a phrase; null if the rollout does not exist. */
export async function describeState(
  sql: Sql,
  rolloutId: RolloutId,
  now: Date,
  trust: TrustRule = NO_SIGNATURE_REQUIRED,
): Promise<string | null> {
  const rollout = await loadRolloutRuntime(sql, rolloutId);
  if (rollout === undefined) return null;
  if (rollout.waits_for !== null) return describePredecessor(rollout.waits_for);
  if (rollout.release_id === null) return `waiting: ${await describeMissing(sql, rollout)}`;
  if (rollout.stage_hash_cutoff === null && !(await hasTargets(sql, rollout)))
    return 'waiting: no device matches its target';
  if (rollout.service_hold !== null) return describeHold(rollout.service_hold);
  // A new scan assigns retried devices first; until then the numbers do not include them.
  if (
    scanStateOf(rollout, await loadSteppingStones(sql, rollout, trust, now), now).fingerprint !==
      rollout.scan_fingerprint &&
    rollout.scan_fingerprint !== null
  )
    return 'about to scan its devices again';
  const control = hasSilence(rollout) ? await loadControlGroup(sql, rollout, now) : NO_CONTROL_GROUP;
  const held = await describeHeldDevices(sql, rollout, now, trust);
  return [
    stateOf(rollout, now, control, held !== ''),
    await describeOnProbation(sql, rolloutId),
    describeSetApart(rollout),
    held,
    await describeKnownIssues(sql, rollout),
    await describeFullValues(sql, rolloutId),
  ].join('');
}

/** Also true if the filter is invalid, which is reported elsewhere. */
async function hasTargets(sql: Sql, rollout: RolloutRuntime): Promise<boolean> {
  const { target_type: type, target_filter: filter, rollout_percentage: share, device_model: model } = rollout;
  const read = parseTarget(type, filter, share);
  if (!read.ok) return true;
  const [row] = await select(
    sql,
    z.strictObject({ any: z.boolean() }),
    `SELECT EXISTS (SELECT FROM devices AS d WHERE ${MATCHES_FILTER}) AS any`,
    { rollout: rollout.id, ...targetValues(model, read.value) },
  );
  return row?.any ?? true;
}

/** Describes the devices on probation; empty if there are none. */
async function describeOnProbation(sql: Sql, rolloutId: RolloutId): Promise<string> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int(), first: z.date().nullable() }),
    `SELECT count(*)::integer AS devices, min(deadline_at) AS first FROM device_update_status
     WHERE rollout_id = :rollout AND completed_at IS NULL AND status = 'success' AND booted_at IS NOT NULL
       -- Avoids reading an index if no device is on probation.
       AND (SELECT sum(updates) FROM update_counts WHERE rollout_id = :rollout AND state = 'on_probation') > 0`,
    { rollout: rolloutId },
  );
  if (!row?.first) return '';
  return `; ${row.devices} on probation until ${row.first.toISOString()}${row.devices === 1 ? '' : ' or later'}`;
}

/** Names the devices that the gates set apart; empty if there are none. */
function describeSetApart({ failed_before_updates: updates }: RolloutRuntime): string {
  const devices = updates.reduce((sum, each) => sum + each.updates, 0);
  if (devices === 0) return '';
  const [subject, verb] = devices === 1 ? ['device', 'is'] : ['devices', 'are'];
  return `; ${devices} ${subject} that failed before ${verb} not counted by the gates`;
}

/** Says how many devices of the rollout wait for the end of a hold, and names the one that holds most; empty if none does. */
async function describeHeldDevices(sql: Sql, rollout: RolloutRuntime, now: Date, trust: TrustRule): Promise<string> {
  const { release_id, target_type, target_filter, rollout_percentage, device_model: model } = rollout;
  const target = parseTarget(target_type, target_filter, rollout_percentage);
  if (rollout.holds_digest === '' || release_id === null || !target.ok) return '';
  const versionsInUse = await listVersionsInUse(sql, model);
  const goal = { id: release_id, version: rollout.firmware_version, min_version: rollout.min_version };
  const counters = await loadCounters(sql, rollout, trust);
  const policy = { allowDowngrade: rollout.allow_downgrade, includeUnknown: rollout.include_unknown, counters };
  const steppingStones = await loadSteppingStones(sql, rollout, trust, now);
  const releases = chooseReleases(versionsInUse, goal, steppingStones, policy);
  const higherPriority = await loadHigherPriorityRollouts(sql, rollout, versionsInUse);
  const knownIssues = await loadKnownIssues(sql, rollout, target.value, steppingStones);
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int(), holds: z.int(), hold: heldBy.nullable() }),
    `WITH waiting AS MATERIALIZED (
       SELECT d.device_id FROM devices AS d WHERE d.device_id IN (${HELD_BY_NAME})
         AND ${WAITS_FOR_HOLD}
     ), most AS (
       SELECT named.hold_id, count(*) OVER ()::integer AS holds FROM (${HELD_BY_EACH}) AS named JOIN waiting USING (device_id)
       GROUP BY named.hold_id ORDER BY count(*) DESC, named.hold_id LIMIT 1
     )
     SELECT (SELECT count(*)::integer FROM waiting) AS devices, coalesce((SELECT holds FROM most), 0) AS holds,
       (SELECT ${HOLD} FROM holds AS h WHERE h.id = (SELECT hold_id FROM most)) AS hold`,
    holdValues({ rollout, target: target.value, higherPriority, knownIssues }, releases),
  );
  if (!row?.hold) return '';
  const others = row.holds === 1 ? '' : `, and by ${row.holds - 1} more hold${row.holds === 2 ? '' : 's'}`;
  return `; ${row.devices} ${row.devices === 1 ? 'device is' : 'devices are'} held: ${describeHold(row.hold)}${others}`;
}

/** Names the known issues that keep devices from the release of the rollout; empty if there are none. */
async function describeKnownIssues(sql: Sql, rollout: RolloutRuntime): Promise<string> {
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  const issues = target.ok ? await loadKnownIssues(sql, rollout, target.value) : [];
  return issues.length === 0 ? '' : `; not sent to devices of ${describeIssues(issues)}`;
}

/** Says how many devices wait because of `max_in_flight_per`, and for which values; empty if none does. */
async function describeFullValues(sql: Sql, rolloutId: RolloutId): Promise<string> {
  const full = await findFullValues(sql, rolloutId);
  if (full === undefined) return '';
  const { attribute, max, examples, values, devices } = full;
  const subject = devices === 1 ? '1 device waits' : `${devices} devices wait`;
  const limit = `${max} ${max === 1 ? 'update' : 'updates'} in flight`;
  return `; ${subject}, because the limit of ${limit} is reached for ${attribute} ${someNames(examples, values)}`;
}

/**
 * What a rollout whose release is registered is doing or waiting for, as a phrase.
 * @param hasHeld true if devices of it wait for the end of a hold
 */
export function stateOf(rollout: RolloutRuntime, now: Date, control = NO_CONTROL_GROUP, hasHeld = false): string {
  if (rollout.stage_hash_cutoff === null) return 'about to start';
  const plan = parsePlan(rollout);
  if (!plan.ok) return plan.reason;
  const decision = decideRollout(numbersOf(rollout, 0, control), gatesOf(rollout), plan.value.stages, now);
  if (decision.kind !== 'finish') return describeDecision(decision);
  if (rollout.has_open) return 'waiting for the assigned devices to finish';
  if (hasHeld) return 'waiting for the end of a hold';
  return rollout.keep_open
    ? 'open for devices that join later'
    : 'about to complete, unless another rollout has an open update of one of its devices';
}

/** Matches uploads of any time. */
const EVER = '-infinity';

/** Says why the release of a rollout is missing, as far as known. */
export async function describeMissing(sql: Sql, rollout: RolloutRuntime): Promise<string> {
  const { firmware_version: version, device_model: model } = rollout;
  const rejection = await findRejection(sql, uploadKey(version, model), EVER);
  const missing = `no release ${version} is registered for ${model}`;
  return rejection === undefined
    ? missing
    : `${missing}; its upload was rejected: ${rejection.verdict}, ${rejection.message}`;
}
