import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';

/** Who uploaded an object; each is null if it is not known. */
export interface Provenance {
  /** IAM ARN of the API's caller who asked for the upload; null: the object was put into S3 without the API. */
  readonly requestedBy: string | null;
  /** AWS account or service that put the object, as S3 says. */
  readonly putBy: string | null;
  /** IP address from which the object was put, as S3 says. */
  readonly putFrom: string | null;
}

export interface UploadRequest {
  /** Random text that the uploaded object has as metadata. */
  readonly token: string;
  readonly objectKey: string;
  /** IAM ARN of the caller. */
  readonly requestedBy: string;
}

/** Records who asked the API for the URL of an upload. */
export async function recordUploadRequest(sql: Sql, request: UploadRequest, now: Date): Promise<void> {
  await sql.query(
    `INSERT INTO upload_requests (token, object_key, requested_by, requested_at)
     VALUES (:token, :objectKey, :requestedBy, :now::timestamptz)`,
    { ...request, now },
  );
}

/**
 * The requester of an uploaded object, by the token in its metadata. The first object version that is verified with a
 * token is the only one that the token stands for.
 * @returns null for a token that was given out for another key, was used by another object version, or is unknown
 */
export async function matchUploadRequest(
  sql: Sql,
  object: { readonly token: string; readonly objectKey: string; readonly objectVersion: string },
): Promise<string | null> {
  const [row] = await select(
    sql,
    z.strictObject({ requested_by: z.string() }),
    `UPDATE upload_requests SET object_version = :objectVersion
     WHERE token = :token AND object_key = :objectKey AND (object_version IS NULL OR object_version = :objectVersion)
     RETURNING requested_by`,
    object,
  );
  return row?.requested_by ?? null;
}
