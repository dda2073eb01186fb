import type { Sql } from '../db/index.ts';

export interface ReleaseRow {
  readonly release_id: number;
  readonly device_model: string;
  readonly version: string;
  readonly chip: string;
  readonly file_size: number;
  readonly checksum_sha256: string;
  readonly project_name: string | null;
  readonly app_version: string | null;
  readonly min_version: string | null;
  readonly changelog: string | null;
  readonly is_signed: boolean;
  readonly warnings: { code: string; message: string }[];
  readonly created_at: Date;
  readonly revoked_at: Date | null;
  readonly revoked_reason: string | null;
  readonly devices: number;
}

export interface ReleaseDetailRow extends ReleaseRow {
  readonly release_notes: string | null;
  readonly uploaded_key: string | null;
  readonly revoked_by: string | null;
  readonly image: Record<string, unknown>;
}

const COLUMNS = `f.id AS release_id, f.device_model, f.version, f.chip, f.file_size, f.checksum_sha256, f.project_name,
       f.app_version, f.min_version, f.changelog, f.is_signed, f.warnings, f.created_at, f.revoked_at, f.revoked_reason,
       (SELECT coalesce(sum(c.devices), 0)::integer FROM version_counts AS c
        WHERE c.device_model = f.device_model
          AND c.firmware_version IN (ltrim(f.version, 'vV'), 'v' || ltrim(f.version, 'vV'), 'V' || ltrim(f.version, 'vV'))
       ) AS devices`;

/** Releases registered before an id, newest first. */
export async function listReleases(
  sql: Sql,
  model: string | undefined,
  beforeId: number | null,
  limit: number,
): Promise<ReleaseRow[]> {
  return sql.query(
    `SELECT ${COLUMNS} FROM firmware_releases AS f
     WHERE (:before::bigint IS NULL OR f.id < :before::bigint) AND (:model::text IS NULL OR f.device_model = :model)
     ORDER BY f.id DESC LIMIT :limit`,
    { model: model ?? null, before: beforeId, limit },
  );
}

export async function getRelease(sql: Sql, model: string, version: string): Promise<ReleaseDetailRow | undefined> {
  const [row] = await sql.query<ReleaseDetailRow>(
    `SELECT ${COLUMNS}, f.release_notes, f.uploaded_key, f.revoked_by, f.image FROM firmware_releases AS f
     WHERE f.device_model = :model AND f.version = :version`,
    { model, version },
  );
  return row;
}

/**
 * Revokes a release. A release that is already revoked keeps its first reason.
 * @returns false if the release does not exist
 */
export async function revokeRelease(
  sql: Sql,
  release: { readonly model: string; readonly version: string; readonly reason: string; readonly by: string },
  now: Date,
): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE firmware_releases SET
       revoked_reason = CASE WHEN revoked_at IS NULL THEN :reason ELSE revoked_reason END,
       revoked_by = CASE WHEN revoked_at IS NULL THEN :by ELSE revoked_by END,
       revoked_at = coalesce(revoked_at, :now::timestamptz)
     WHERE device_model = :model AND version = :version RETURNING id`,
    { ...release, now },
  );
  return rows.length > 0;
}

export interface RejectedUploadRow {
  readonly object_key: string;
  readonly object_version: string;
  readonly file_size: number;
  readonly verdict: string;
  readonly message: string;
  readonly image: Record<string, unknown>;
  readonly uploaded_at: Date;
  readonly id: number;
}

const REJECTED = 'id, object_key, object_version, file_size, verdict, message, image, uploaded_at';

/** Rejected uploads before an id, newest first. */
export async function listRejectedUploads(
  sql: Sql,
  beforeId: number | null,
  limit: number,
): Promise<RejectedUploadRow[]> {
  return sql.query(
    `SELECT ${REJECTED} FROM rejected_uploads WHERE (:before::bigint IS NULL OR id < :before::bigint)
     ORDER BY id DESC LIMIT :limit`,
    { before: beforeId, limit },
  );
}

/** The newest rejection of an object that was uploaded at or after a point in time (S3 times have whole seconds). */
export async function findRejection(
  sql: Sql,
  objectKey: string,
  since: string,
): Promise<RejectedUploadRow | undefined> {
  const [row] = await sql.query<RejectedUploadRow>(
    `SELECT ${REJECTED} FROM rejected_uploads
     WHERE object_key = :key AND uploaded_at >= date_trunc('second', :since::timestamptz) ORDER BY id DESC LIMIT 1`,
    { key: objectKey, since },
  );
  return row;
}

/** The models that have a release of this version; at most 200. */
export async function listModelsOf(sql: Sql, version: string): Promise<string[]> {
  const rows = await sql.query<{ device_model: string }>(
    'SELECT device_model FROM firmware_releases WHERE version = :version ORDER BY device_model LIMIT 200',
    { version },
  );
  return rows.map(({ device_model: model }) => model);
}
