import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { ID } from '../util/index.ts';

const releaseRow = z.strictObject({
  release_id: ID.release,
  device_model: z.string(),
  version: z.string(),
  chip: z.string(),
  file_size: z.int(),
  checksum_sha256: z.string(),
  project_name: z.string().nullable(),
  app_version: z.string().nullable(),
  min_version: z.string().nullable(),
  changelog: z.string().nullable(),
  is_signed: z.boolean(),
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
  warnings: z.array(z.strictObject({ code: z.string(), message: z.string() })),
  created_at: z.date(),
  revoked_at: z.date().nullable(),
  revoked_reason: z.string().nullable(),
  devices: z.int(),
});
export type ReleaseRow = RowOf<typeof releaseRow>;

const releaseDetailRow = z.strictObject({
  ...releaseRow.shape,
  release_notes: z.string().nullable(),
  uploaded_key: z.string().nullable(),
  requested_by: z.string().nullable(),
  put_by: z.string().nullable(),
  put_from: z.string().nullable(),
  revoked_by: z.string().nullable(),
  manifest: z.string().nullable(),
  manifest_signature: z.string().nullable(),
  image: z.record(z.string(), z.unknown()),
});
export type ReleaseDetailRow = RowOf<typeof releaseDetailRow>;

const COLUMNS = `f.id AS release_id, f.device_model, f.version, f.chip, f.file_size, f.checksum_sha256, f.project_name,
       f.app_version, f.min_version, f.changelog, f.is_signed, f.signing_key,
       f.signature_expires_at, f.warnings, f.created_at, f.revoked_at,
       CASE WHEN f.revoked_at IS NOT NULL THEN coalesce(f.revoked_reason, 'no reason given') END AS revoked_reason,
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
  return select(
    sql,
    releaseRow,
    `SELECT ${COLUMNS} FROM firmware_releases AS f
     WHERE (:before::bigint IS NULL OR f.id < :before::bigint) AND (:model::text IS NULL OR f.device_model = :model)
     ORDER BY f.id DESC LIMIT :limit`,
    { model: model ?? null, before: beforeId, limit },
  );
}

export async function getRelease(sql: Sql, model: string, version: string): Promise<ReleaseDetailRow | undefined> {
  const [row] = await select(
    sql,
    releaseDetailRow,
    `SELECT ${COLUMNS}, f.release_notes, f.uploaded_key, f.requested_by, f.put_by, f.put_from, f.revoked_by, f.manifest,
       f.manifest_signature, f.image
     FROM firmware_releases AS f
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

const rejectedUploadRow = z.strictObject({
  object_key: z.string(),
  object_version: z.string(),
  file_size: z.int(),
  verdict: z.string(),
  message: z.string(),
  image: z.record(z.string(), z.unknown()),
  uploaded_at: z.date(),
  requested_by: z.string().nullable(),
  put_by: z.string().nullable(),
  put_from: z.string().nullable(),
  id: z.int(),
});
export type RejectedUploadRow = RowOf<typeof rejectedUploadRow>;

const REJECTED =
  'id, object_key, object_version, file_size, verdict, message, image, uploaded_at, requested_by, put_by, put_from';

/** Rejected uploads before an id, newest first. */
export async function listRejectedUploads(
  sql: Sql,
  beforeId: number | null,
  limit: number,
): Promise<RejectedUploadRow[]> {
  return select(
    sql,
    rejectedUploadRow,
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
  const [row] = await select(
    sql,
    rejectedUploadRow,
    `SELECT ${REJECTED} FROM rejected_uploads
     WHERE object_key = :key AND uploaded_at >= date_trunc('second', :since::timestamptz) ORDER BY id DESC LIMIT 1`,
    { key: objectKey, since },
  );
  return row;
}

/** The models that have a release of this version; at most 200. */
export async function listModelsOf(sql: Sql, version: string): Promise<string[]> {
  const rows = await select(
    sql,
    z.strictObject({ device_model: z.string() }),
    'SELECT device_model FROM firmware_releases WHERE version = :version ORDER BY device_model LIMIT 200',
    { version },
  );
  return rows.map(({ device_model: model }) => model);
}
