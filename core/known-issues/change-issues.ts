import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { MAX_ISSUES } from './known-issues.ts';

export interface NewIssue {
  readonly deviceModel: string;
  /** A registered release of the model. */
  readonly foundVersion: string;
  readonly title: string;
  readonly link: string | null;
  readonly filter: object;
  readonly by: string;
}

/**
 * Adds a known issue. The same one, added again by the same operator, changes nothing.
 * @returns its id, and whether it is new; undefined if the model has {@link MAX_ISSUES}
 */
export async function addIssue(
  sql: Sql,
  { deviceModel, foundVersion, ...issue }: NewIssue,
  now: Date,
): Promise<{ id: number; isNew: boolean } | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ id: z.int(), is_new: z.boolean() }),
    `WITH known AS (
       SELECT id FROM known_issues WHERE device_model = :model AND withdrawn_at IS NULL AND found_version = :version
         AND title = :title AND link IS NOT DISTINCT FROM :link::text AND device_filter = :filter::jsonb AND created_by = :by
       ORDER BY id LIMIT 1
     ), added AS (
       INSERT INTO known_issues (device_model, found_version, title, link, device_filter, created_at, created_by)
       SELECT :model, :version, :title, :link, :filter::jsonb, :now::timestamptz, :by
       WHERE NOT EXISTS (SELECT FROM known)
         AND (SELECT count(*) FROM known_issues WHERE device_model = :model AND withdrawn_at IS NULL) < ${MAX_ISSUES}
       RETURNING id
     )
     SELECT id, true AS is_new FROM added UNION ALL SELECT id, false FROM known`,
    { model: deviceModel, version: foundVersion, ...issue, now },
  );
  return row === undefined ? undefined : { id: row.id, isNew: row.is_new };
}

/**
 * States the release that fixes an issue.
 * @returns false if the issue is not open
 */
export async function fixIssue(
  sql: Sql,
  { issueId, version, by }: { readonly issueId: number; readonly version: string; readonly by: string },
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE known_issues SET fixed_version = :version, fixed_at = :now::timestamptz, fixed_by = :by
     WHERE id = :issue AND fixed_version IS NULL AND withdrawn_at IS NULL RETURNING id`,
    { issue: issueId, version, by, now },
  );
  return rows.length > 0;
}

/**
 * Withdraws an issue, so that it applies to no release.
 * @returns false if it was withdrawn before
 */
export async function withdrawIssue(
  sql: Sql,
  { issueId, reason, by }: { readonly issueId: number; readonly reason: string; readonly by: string },
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE known_issues SET withdrawn_at = :now::timestamptz, withdrawn_by = :by, withdrawn_reason = :reason
     WHERE id = :issue AND withdrawn_at IS NULL RETURNING id`,
    { issue: issueId, reason, by, now },
  );
  return rows.length > 0;
}
