import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { APPROVABLE_ACTIONS, type ApprovableAction } from '../policy/index.ts';
import { ID, type RolloutId } from '../util/index.ts';
import { MAY_RUN } from './rollout-conditions.ts';

/**
 * What the rollout `r` sends and to which devices: every column that its author chooses except its name, and of its
 * releases what the update is decided on. A signature is not part of it: one that comes later changes nothing that is
 * sent. Times are numbers, whose text does not depend on the session.
 */
export const CONTENT = `jsonb_build_object(
       'firmware_version', r.firmware_version, 'device_model', r.device_model, 'target_type', r.target_type,
       'target_filter', r.target_filter, 'rollout_percentage', r.rollout_percentage, 'stages', r.stages,
       'failure_threshold', r.failure_threshold, 'failure_count', r.failure_count,
       'max_restart_ratio', r.max_restart_ratio, 'min_reports', r.min_reports, 'max_attempts', r.max_attempts,
       'attempt_timeout_minutes', r.attempt_timeout_minutes, 'boot_timeout_minutes', r.boot_timeout_minutes,
       'probation_minutes', r.probation_minutes, 'give_up_days', r.give_up_days, 'max_in_flight', r.max_in_flight, 'max_in_flight_per', r.max_in_flight_per,
       'first_stage_covers', r.first_stage_covers,
       'max_per_minute', r.max_per_minute, 'start_at', extract(epoch FROM r.start_at),
       'after_rollout_id', r.after_rollout_id, 'end_at', extract(epoch FROM r.end_at), 'send_window', r.send_window,
       'jitter_minutes', r.jitter_minutes, 'priority', r.priority, 'keep_open', r.keep_open,
       'allow_downgrade', r.allow_downgrade, 'include_unknown', r.include_unknown, 'stepping_stones', r.stepping_stones,
       'releases', (SELECT coalesce(jsonb_object_agg(f.version, jsonb_build_object('checksum_sha256', f.checksum_sha256,
           'object_key', f.object_key, 'file_size', f.file_size, 'chip', f.chip, 'min_version', f.min_version,
           'project_name', f.project_name, 'app_version', f.app_version,
           'secure_version', f.image #> '{descriptor,secureVersion}')), '{}') FROM firmware_releases AS f
         WHERE f.device_model = r.device_model AND (f.version = r.firmware_version OR r.stepping_stones @> to_jsonb(f.version))))`;

/**
 * True if the content of the rollout `r` is the approved one. Only the keys that the approved content has are compared,
 * so that a column that a later release adds stops no running rollout.
 */
export const IS_APPROVED = `(r.approved_content IS NOT NULL AND NOT EXISTS (
       SELECT FROM (SELECT ${CONTENT} AS now OFFSET 0) AS content, jsonb_each(r.approved_content) AS approved
       WHERE approved.value IS DISTINCT FROM content.now -> approved.key))`;

/**
 * What allows an action that makes a rollout send: the id of the request that a second person approves now; null where
 * the deployment requires no approval, and for a recovery.
 */
export type Permission = number | null;

/** The permission of one person where the deployment requires no approval, and of a recovery always. */
export const ANYONE: Permission = null;

/**
 * `permitted` is the rollout `:rollout`, locked, if the action is allowed, with the limit of devices that a second person
 * has approved. `taken` is the request that it was allowed by, and is gone, also if the rollout or a release was changed
 * since.
 */
export const PERMITTED = `taken AS (
       DELETE FROM approval_requests WHERE rollout_id = :rollout AND id = :request::bigint
       RETURNING id, rollout_id, content, action, targets, requested_by, requested_at
     ), permitted AS (
       SELECT r.id, taken.targets, taken.requested_at FROM rollout_configurations AS r LEFT JOIN taken ON true
       WHERE r.id = :rollout AND (:request::bigint IS NULL OR taken.content = ${CONTENT})
       FOR UPDATE OF r
     ), voided AS (
       INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
       SELECT rollout_id, 'rollout_request_voided', :now::timestamptz, jsonb_build_object('reason',
         'a release was changed after its ' || action || ' was requested', 'action', action), md5(id || ' voided')
       FROM taken WHERE NOT EXISTS (SELECT FROM permitted)
       ON CONFLICT DO NOTHING
     )`;

/** Columns of the rollout `r` that a start or a resumption sets which `permitted` allows. */
export const SET_APPROVAL = `approved_content = ${CONTENT}, approved_at = permitted.requested_at, approved_targets = permitted.targets`;

/** Records the approval of the request that `taken` holds, if `changed` has the rollout. */
export const RECORD_APPROVAL = `INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT changed.id, 'rollout_approved', :now::timestamptz, jsonb_build_object('reason', :reason::text, 'by', :by::text,
       'action', taken.action, 'requestedBy', taken.requested_by, 'requestedAt', taken.requested_at),
       md5(changed.id || ' approved ' || :now::timestamptz)
     FROM changed, taken
     ON CONFLICT DO NOTHING`;

const approvalRequest = z.strictObject({
  request_id: z.int(),
  rollout_id: ID.rollout,
  rollout_name: z.string(),
  action: z.enum(APPROVABLE_ACTIONS),
  devices: z.int(),
  reason: z.string().nullable(),
  requested_by: z.string(),
  requested_at: z.date(),
});

/** A start or resumption that waits for the approval of a second person. */
export type ApprovalRequest = RowOf<typeof approvalRequest>;

/** The requests of all rollouts, or of one; the oldest first. */
export function listApprovalRequests(sql: Sql, rolloutId: RolloutId | null = null): Promise<ApprovalRequest[]> {
  return select(
    sql,
    approvalRequest,
    `SELECT q.id AS request_id, q.rollout_id, r.name AS rollout_name, q.action, q.devices, q.reason, q.requested_by,
       q.requested_at
     FROM approval_requests AS q JOIN rollout_configurations AS r ON r.id = q.rollout_id
     WHERE :rollout::bigint IS NULL OR q.rollout_id = :rollout::bigint ORDER BY q.id LIMIT 100`,
    { rollout: rolloutId },
  );
}

/** What an operator requests. */
export interface RequestedAction {
  readonly rolloutId: RolloutId;
  readonly action: ApprovableAction;
  /** `updated_at` of the rollout as the operator read it, to the millisecond. */
  readonly unchangedSince: string;
  /** How many devices it would send to. */
  readonly devices: number;
  /** How many devices the rollout targets. */
  readonly targets: number;
  readonly reason: string | null;
  readonly by: string;
}

/**
 * Records a request for an action. It replaces an earlier one of the same operator.
 * @returns false if the rollout was changed meanwhile, or somebody else's request waits
 */
export async function requestApproval(sql: Sql, requested: RequestedAction, now: Date): Promise<boolean> {
  const { rolloutId, unchangedSince, ...values } = requested;
  const rows = await sql.query(
    `WITH requested AS (
       INSERT INTO approval_requests AS q (rollout_id, action, content, devices, targets, reason, requested_by, requested_at)
       SELECT r.id, :action, ${CONTENT}, :devices, :targets, :reason, :by, :now::timestamptz FROM rollout_configurations AS r
       WHERE r.id = :rollout AND r.aborted_at IS NULL
         AND date_trunc('milliseconds', r.updated_at) = :unchanged_since::timestamptz
       FOR UPDATE
       ON CONFLICT (rollout_id) DO UPDATE SET id = DEFAULT, action = excluded.action, content = excluded.content,
         devices = excluded.devices, targets = excluded.targets, reason = excluded.reason, requested_at = excluded.requested_at
       WHERE q.requested_by = excluded.requested_by
       RETURNING q.id, q.rollout_id
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT rollout_id, 'rollout_approval_requested', :now::timestamptz, jsonb_build_object('reason', :reason::text,
       'by', :by::text, 'action', :action::text, 'numbers', jsonb_build_object('devices', :devices::integer)),
       md5(id || ' requested')
     FROM requested ON CONFLICT DO NOTHING RETURNING id`,
    { ...values, rollout: rolloutId, unchanged_since: unchangedSince, now },
  );
  return rows.length > 0;
}

/**
 * Rejects a request, or takes it back.
 * @returns false if it no longer waits
 */
export async function rejectRequest(
  sql: Sql,
  { requestId, reason, by }: { readonly requestId: number; readonly reason: string; readonly by: string },
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH taken AS (
       DELETE FROM approval_requests WHERE id = :request RETURNING id, rollout_id, action, requested_by, requested_at
     )
     INSERT INTO ota_events (rollout_id, event_type, received_at, payload, payload_hash)
     SELECT rollout_id, 'rollout_rejected', :now::timestamptz, jsonb_build_object('reason', :reason::text, 'by', :by::text,
       'action', action, 'requestedBy', requested_by, 'requestedAt', requested_at), md5(id || ' rejected')
     FROM taken ON CONFLICT DO NOTHING RETURNING id`,
    { request: requestId, reason, by, now },
  );
  return rows.length > 0;
}

/** An approval or another decision about a rollout that an operator makes. */
interface Decided {
  readonly rolloutId: RolloutId;
  readonly reason: string;
  readonly by: string;
}

/**
 * Starts a draft.
 * @returns false if it is not a draft, or may not be started
 */
export async function startDraft(
  sql: Sql,
  { rolloutId, reason, by }: Decided,
  permission: Permission,
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH ${PERMITTED}, changed AS (
       UPDATE rollout_configurations AS r SET is_active = true, ${SET_APPROVAL},
         updated_at = greatest(:now::timestamptz, r.updated_at + interval '1 millisecond')
       FROM permitted
       WHERE r.id = permitted.id AND NOT r.is_active AND r.completed_at IS NULL AND r.aborted_at IS NULL
       RETURNING r.id
     ), approval AS (${RECORD_APPROVAL})
     SELECT id FROM changed`,
    { rollout: rolloutId, request: permission, reason, by, now },
  );
  return rows.length > 0;
}

/**
 * Takes the request that a second person approves, for an action that is more than one statement. The action may still
 * turn out to be impossible: it is requested again then.
 * @returns false if it no longer waits, or the rollout or a release was changed since
 */
export async function takeRequest(
  sql: Sql,
  { rolloutId, reason, by }: Decided,
  requestId: number,
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `WITH ${PERMITTED}, changed AS (SELECT id FROM permitted WHERE EXISTS (SELECT FROM taken)), approval AS (${RECORD_APPROVAL})
     SELECT id FROM changed`,
    { rollout: rolloutId, request: requestId, reason, by, now },
  );
  return rows.length > 0;
}

/** Rollouts that one statement reads. */
const ROLLOUTS_PER_PAGE = 500;

/** Rollouts after an id that may run by their row, and whose present content is not approved; a page of them. */
export async function listUnapproved(sql: Sql, after: RolloutId): Promise<RolloutId[]> {
  const rows = await select(
    sql,
    z.strictObject({ id: ID.rollout }),
    `SELECT r.id FROM rollout_configurations AS r WHERE ${MAY_RUN} AND r.id > :after AND NOT ${IS_APPROVED}
     ORDER BY r.id LIMIT ${ROLLOUTS_PER_PAGE}`,
    { after },
  );
  return rows.map(({ id }) => id);
}

/**
 * Says that a rollout was assigned to more devices than it targeted when a second person approved it, because their
 * groups, attributes or versions have changed; undefined if it was not. Devices that have registered since do not count, and a
 * rollout that was approved to stay open has no limit.
 */
export async function describeTooManyTargets(sql: Sql, rolloutId: RolloutId): Promise<string | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ approved: z.int(), assigned: z.int() }),
    `SELECT r.approved_targets AS approved, a.assigned FROM rollout_configurations AS r
     CROSS JOIN LATERAL (
       SELECT count(DISTINCT u.device_id)::integer AS assigned
       FROM device_update_status AS u JOIN devices AS d USING (device_id)
       WHERE u.rollout_id = r.id AND u.created_at >= r.approved_at AND d.registered_at <= r.approved_at) AS a
     WHERE r.id = :rollout AND NOT r.keep_open AND a.assigned > r.approved_targets
       -- The sum is cheap, and no rollout assigns fewer updates than devices.
       AND (SELECT sum(updates) FROM update_counts WHERE rollout_id = r.id) > r.approved_targets`,
    { rollout: rolloutId },
  );
  if (row === undefined) return undefined;
  return `${row.assigned} devices are targeted, and a second person has approved ${row.approved}: groups, attributes or versions of devices have changed since; resume it, which a second person must approve`;
}
