import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import {
  decideRollout,
  describeDecision,
  describeHold,
  describePredecessor,
  isBlocked,
  isStalled,
  movedBefore,
  parsePlan,
  parseTarget,
  type RolloutWait,
} from '../policy/index.ts';
import {
  gatesOf,
  hasSilence,
  IS_RUNNING,
  loadControlGroup,
  loadRolloutRuntime,
  NO_CONTROL_GROUP,
  numbersOf,
  type RolloutRuntime,
} from '../rollouts/index.ts';
import { cutoffValues, IN_STAGE, IS_TARGETED, targetValues } from '../targeting/index.ts';
import { ID, type RolloutId, someNames } from '../util/index.ts';
import { describeMissing } from './rollout-status-text.ts';

/** A running rollout in which no update has ended, no stage has begun and nothing was decided for too long. */
export interface StalledRollout {
  readonly rollout_id: RolloutId;
  readonly name: string;
  readonly movedAt: Date;
  readonly waitingFor: string;
  /** Devices that it waits for. */
  readonly devices: number;
  /** The first of them. */
  readonly examples: readonly string[];
  /** True if the rollout cannot go on by itself; otherwise only absent devices are left. */
  readonly isBlocked: boolean;
}

/** Rollouts that one call examines, those that have not moved for the longest time first. */
const ROLLOUTS = 50;
const EXAMPLES = 3;

/** @param rolloutId only this rollout */
export async function listStalledRollouts(
  sql: Sql,
  now: Date,
  rolloutId: RolloutId | null = null,
): Promise<StalledRollout[]> {
  const candidates = await select(
    sql,
    z.strictObject({ id: ID.rollout, moved_at: z.date() }),
    `SELECT r.id, moved.at AS moved_at FROM rollout_configurations AS r
     JOIN rollout_runtime AS p ON p.rollout_id = r.id AND ${IS_RUNNING}
     CROSS JOIN LATERAL (SELECT coalesce(greatest(
         (SELECT max(ended_at) FROM outcome_counts WHERE rollout_id = r.id),
         (SELECT max(received_at) FROM ota_events WHERE rollout_id = r.id AND device_id IS NULL),
         r.start_at), r.updated_at) AS at) AS moved
     WHERE r.completed_at IS NULL AND r.aborted_at IS NULL AND moved.at <= :before::timestamptz
       AND (:rollout::bigint IS NULL OR r.id = :rollout::bigint)
     ORDER BY moved.at LIMIT ${ROLLOUTS}`,
    { before: movedBefore(now), rollout: rolloutId },
  );
  const stalled: StalledRollout[] = [];
  for (const { id, moved_at: movedAt } of candidates) {
    const rollout = await loadRolloutRuntime(sql, id);
    const waiting = rollout && (await findWait(sql, rollout, now));
    if (rollout === undefined || waiting === undefined || !isStalled(waiting.wait, movedAt, now)) continue;
    stalled.push({
      rollout_id: id,
      name: rollout.name,
      movedAt,
      waitingFor: waiting.text,
      ...(await findWaitedFor(sql, rollout)),
      isBlocked: isBlocked(waiting.wait),
    });
  }
  return stalled;
}

/** What the text of an active rollout adds if it is stalled; empty if it is not. */
export async function describeStall(sql: Sql, rolloutId: RolloutId, now: Date): Promise<string> {
  const [stalled] = await listStalledRollouts(sql, now, rolloutId);
  if (stalled === undefined) return '';
  const named = stalled.devices === 0 ? '' : `, and waits for ${someNames(stalled.examples, stalled.devices)}`;
  return `; it has not moved since ${stalled.movedAt.toISOString()}${named}`;
}

/** @returns undefined for a row that the next tick halts */
async function findWait(
  sql: Sql,
  rollout: RolloutRuntime,
  now: Date,
): Promise<{ readonly wait: RolloutWait; readonly text: string } | undefined> {
  if (rollout.service_hold !== null) return { wait: 'time', text: describeHold(rollout.service_hold) };
  if (rollout.waits_for !== null) {
    const wait = rollout.waits_for.is_aborted ? 'proof' : 'time';
    return { wait, text: describePredecessor(rollout.waits_for).replace(/^waiting for /, '') };
  }
  if (rollout.release_id === null) return { wait: 'release', text: await describeMissing(sql, rollout) };
  if (rollout.stage_hash_cutoff === null) return { wait: 'devices', text: 'devices that match its target' };
  const plan = parsePlan(rollout);
  if (!plan.ok) return undefined;
  const { sends_until: sendsUntil } = rollout;
  if (sendsUntil !== null && sendsUntil <= now) return { wait: 'time', text: 'its send window' };
  const control = hasSilence(rollout) ? await loadControlGroup(sql, rollout, now) : NO_CONTROL_GROUP;
  const decision = decideRollout(numbersOf(rollout, 0, control), gatesOf(rollout), plan.value.stages, now);
  if (decision.kind === 'hold') return { wait: 'proof', text: decision.waitingFor };
  if (decision.kind === 'person') return { wait: 'person', text: `a person to advance it: ${decision.because}` };
  if (decision.kind === 'finish' && (rollout.has_open || !rollout.keep_open)) {
    return { wait: 'devices', text: 'the assigned devices to finish' };
  }
  return { wait: 'time', text: describeDecision(decision) };
}

const waitedFor = z.strictObject({ devices: z.int(), examples: z.array(z.string()) });
type WaitedFor = RowOf<typeof waitedFor>;

/** Devices whose updates are under way; else those that are assigned; else those that another rollout is updating. */
async function findWaitedFor(sql: Sql, rollout: RolloutRuntime): Promise<WaitedFor> {
  const rows = await select(
    sql,
    waitedFor,
    `SELECT count(*)::integer AS devices, to_jsonb((array_agg(u.device_id ORDER BY u.id))[1:${EXAMPLES}]) AS examples
     FROM device_update_status AS u WHERE u.rollout_id = :rollout AND u.completed_at IS NULL
     GROUP BY u.counts_as_started ORDER BY u.counts_as_started DESC LIMIT 1`,
    { rollout: rollout.id },
  );
  return rows[0] ?? (await findBusyMembers(sql, rollout)) ?? { devices: 0, examples: [] };
}

async function findBusyMembers(sql: Sql, rollout: RolloutRuntime): Promise<WaitedFor | undefined> {
  const target = parseTarget(rollout.target_type, rollout.target_filter, rollout.rollout_percentage);
  if (!target.ok || rollout.stage_hash_cutoff === null) return undefined;
  const [row] = await select(
    sql,
    waitedFor,
    `SELECT count(*)::integer AS devices,
       coalesce(to_jsonb((array_agg(d.device_id ORDER BY d.device_id))[1:${EXAMPLES}]), '[]') AS examples
     FROM device_update_status AS u JOIN devices AS d USING (device_id)
     WHERE u.completed_at IS NULL AND u.rollout_id <> :rollout AND ${IS_TARGETED}
       AND ${IN_STAGE}`,
    {
      rollout: rollout.id,
      ...cutoffValues(rollout),
      ...targetValues(rollout.device_model, target.value),
    },
  );
  return row;
}
