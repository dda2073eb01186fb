import * as z from 'zod';
import { readInPages, type Sql, select } from '../db/index.ts';
import { loadKnownIssues } from '../known-issues/index.ts';
import { describeHeldDevice, isBar, parseTarget, type RolloutState, type Target } from '../policy/index.ts';
import { describeChange } from '../protocol/index.ts';
import { NO_SIGNATURE_REQUIRED, type TrustRule, whyNotSendable } from '../release-policy/index.ts';
import { loadCounters, loadSteppingStones } from '../releases/index.ts';
import { loadRolloutRuntime, type RolloutRuntime } from '../rollouts/index.ts';
import { findFullValue, loadProcessedUntil } from '../updates/index.ts';
import { type DeviceId, ID, type RolloutId } from '../util/index.ts';
import { type DeviceFacts, type KnownReleases, loadDeviceFacts } from './device-facts.ts';
import { whyNotExcluded } from './explain-target.ts';
import { explainUnassigned, whyNotTargeted } from './explain-unassigned.ts';
import { at, type Explanation, explainUpdate, toDate, type UpdateFacts } from './explain-update.ts';
import { describeMissing } from './rollout-status-text.ts';

/** An explanation, and whether the rollout targets the device. */
interface Evaluated extends Explanation {
  readonly isTargeted: boolean;
}

/** @returns undefined if the rollout or the device does not exist */
export async function explainDevice(
  sql: Sql,
  rolloutId: RolloutId,
  deviceId: DeviceId,
  now: Date,
  trust: TrustRule = NO_SIGNATURE_REQUIRED,
): Promise<Explanation | undefined> {
  const evaluated = await evaluateDevice(sql, rolloutId, deviceId, now, trust);
  if (evaluated === undefined) return undefined;
  const { isTargeted: _, ...explanation } = evaluated;
  return explanation;
}

/** A draft sends nothing, and one that has ended sends nothing more. */
const STATES: readonly RolloutState[] = ['active', 'halted', 'paused', 'scheduled', 'completed', 'aborted', 'draft'];
const STATES_IN_ORDER = `array_position('{${STATES.join()}}', o.state)`;

const CANDIDATES_PER_PAGE = 5_000;

/**
 * Explains a device by the rollout that is updating it; otherwise by the first that targets it: one of its model before
 * one that updated it when it was of another, then in the order of {@link STATES}, then by priority, of those that have
 * not ended, then the newest. If none targets it, the first of them all explains that.
 * @param version only rollouts of this version; null: any
 * @returns undefined if there is no such rollout
 */
export async function explainByItsRollout(
  sql: Sql,
  deviceId: DeviceId,
  version: string | null,
  now: Date,
  trust: TrustRule = NO_SIGNATURE_REQUIRED,
): Promise<(Explanation & { readonly rolloutId: RolloutId }) | undefined> {
  const candidates = await readInPages(
    (page) =>
      select(
        sql,
        z.strictObject({ id: ID.rollout }),
        `SELECT r.id FROM devices AS d JOIN rollout_configurations AS r ON r.device_model = d.device_model
       OR r.id IN (SELECT e.rollout_id FROM device_update_status AS e WHERE e.device_id = d.device_id)
     JOIN rollout_overview AS o ON o.rollout_id = r.id
     LEFT JOIN device_update_status AS u ON u.rollout_id = r.id AND u.device_id = d.device_id AND u.completed_at IS NULL
     WHERE d.device_id = :device AND (:version::text IS NULL OR r.firmware_version = :version)
     ORDER BY u.id IS NULL, r.device_model <> d.device_model, ${STATES_IN_ORDER},
       CASE WHEN o.state NOT IN ('completed', 'aborted', 'draft') THEN r.priority END DESC, r.id DESC
     LIMIT :limit OFFSET :offset`,
        { device: deviceId, version, ...page },
      ),
    CANDIDATES_PER_PAGE,
  );
  let newest: (Evaluated & { readonly rolloutId: RolloutId }) | undefined;
  for (const { id: rolloutId } of candidates) {
    const evaluated = await evaluateDevice(sql, rolloutId, deviceId, now, trust);
    if (evaluated === undefined) continue;
    if (evaluated.isTargeted) return { ...evaluated, rolloutId };
    newest ??= { ...evaluated, rolloutId };
  }
  return newest;
}

async function evaluateDevice(
  sql: Sql,
  rolloutId: RolloutId,
  deviceId: DeviceId,
  now: Date,
  trust: TrustRule,
): Promise<Evaluated | undefined> {
  const rollout = await loadRolloutRuntime(sql, rolloutId);
  if (rollout === undefined) return undefined;
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!target.ok) {
    return { rule: target.reason, since: null, next: 'nothing, until the rollout is corrected', isTargeted: false };
  }
  const steppingStones = await loadSteppingStones(sql, rollout, trust, now);
  const counters = await loadCounters(sql, rollout, trust);
  const knownIssues = await loadKnownIssues(sql, rollout, target.value, steppingStones);
  const device = await loadDeviceFacts(sql, rollout, target.value, deviceId, { steppingStones, counters, knownIssues });
  if (device === undefined) return undefined;
  const unexcluded = await explainFacts(
    sql,
    rollout,
    target.value,
    deviceId,
    device,
    { steppingStones, counters, knownIssues },
    now,
    trust,
  );
  const explained = unexcluded.isTargeted
    ? { ...unexcluded, rule: unexcluded.rule + whyNotExcluded(device, target.value) }
    : unexcluded;
  const held = device.holds.length === 0 ? undefined : describeHeldDevice(device.holds);
  if (held === undefined || explained.rule.includes(held)) return explained;
  return { ...explained, rule: `${explained.rule}; the device ${held}` };
}

async function explainFacts(
  sql: Sql,
  rollout: RolloutRuntime,
  target: Target,
  deviceId: DeviceId,
  device: DeviceFacts,
  { counters, knownIssues }: KnownReleases,
  now: Date,
  trust: TrustRule,
): Promise<Evaluated> {
  const outside = whyNotTargeted(deviceId, device, rollout, target);
  if (device.revoked_at !== null) {
    const rule = `its identity was revoked: ${device.revoked_reason ?? 'no reason given'}`;
    return {
      rule,
      since: device.revoked_at,
      next: 'nothing, unless it is reinstated',
      isTargeted: outside === undefined,
    };
  }
  const isUpdated = isProven(device.update);
  const isChanged = device.identity_changed_at !== null;
  const isKeptFromRelease = isBar(device.rule) || device.rule === 'known issue';
  const issue = knownIssues.find(({ issue_id: id }) => device.issues.includes(id));
  const goesOn = isUpdated && (isChanged || (device.update?.is_stepping_stone === true && isKeptFromRelease));
  if (device.update !== null && !goesOn) {
    const full = device.update.status === 'pending' ? await findFullValue(sql, rollout.id, deviceId) : undefined;
    const kept = { holds: device.holds, issue, full };
    const explanation = explainUpdate(device.update, device.version, rollout, now, kept);
    const wait = await explainUnprocessed(sql, device.update, now);
    const next = wait ?? (isUpdated ? afterNewModel(device, rollout) : undefined) ?? explanation.next;
    return { ...explanation, next, isTargeted: true };
  }
  // A rollout of the model that the device reports instead of its own is asked about, too.
  const isMeant = outside === undefined || device.reported_model === rollout.device_model;
  if (isChanged && isMeant) {
    const { changed_by: by, reported_model: model, identity_changed_at: since } = device;
    const cause = by === null ? '' : ` since rollout "${by.rollout}" updated it to ${by.version}`;
    const later = by === null || model === null ? '' : `; then rollouts of the model ${model} update it`;
    const next = `nothing, until that is accepted with \`paku-ota device accept ${deviceId}\`${later}`;
    return { rule: `${describeChange(device)}${cause}`, since, next, isTargeted: outside === undefined };
  }
  if (outside !== undefined) return { ...outside, since: null, isTargeted: false };
  const missing =
    rollout.release_id === null
      ? await describeMissing(sql, rollout)
      : whyNotSendable({ ...rollout, version: rollout.firmware_version }, trust, now);
  return { ...explainUnassigned(device, rollout, { missing, counters, issue }, now), isTargeted: true };
}

const isProven = (update: DeviceFacts['update']): boolean =>
  update?.status === 'success' && update.completed_at !== null && update.late_rollback_at === null;

/** What follows for a device that is of another model than the rollout that updated it; undefined if it is of the same. */
function afterNewModel({ device_model: model, has_rollout }: DeviceFacts, rollout: RolloutRuntime): string | undefined {
  if (model === rollout.device_model) return undefined;
  const rest = has_rollout ? '' : ', for which there is no rollout';
  return `nothing by this rollout, which is for the model ${rollout.device_model}: the device is of ${model} now${rest}`;
}

/** Undefined unless the deadline of an open update has passed and messages that were received before it may wait. */
async function explainUnprocessed(sql: Sql, { completed_at, deadline_at }: UpdateFacts, now: Date) {
  const deadline = toDate(completed_at === null ? deadline_at : null);
  if (deadline === null || deadline > now) return undefined;
  const until = await loadProcessedUntil(sql, now);
  if (until >= deadline) return undefined;
  return `its deadline passed at ${at(deadline)}, and counts once every message that was received before it has been processed; the queues were processed until ${at(until)}`;
}
