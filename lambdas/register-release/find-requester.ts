import type { Sql } from '../../core/db/index.ts';
import { parseUploadKey, UPLOAD_TOKEN } from '../../core/protocol/index.ts';
import { matchUploadRequest } from '../../core/releases/index.ts';
import { readMetadata } from './object-store.ts';
import type { Upload } from './upload-event.ts';

/** The caller who asked the API for this upload; null if it was put into S3 without the API. */
export async function findRequester(sql: Sql, upload: Upload): Promise<string | null> {
  // The API gives out no URL for any other key.
  if (parseUploadKey(upload.key) === undefined) return null;
  const { [UPLOAD_TOKEN]: token } = await readMetadata(upload);
  if (token === undefined) return null;
  return matchUploadRequest(sql, { token, objectKey: upload.key, objectVersion: upload.versionId ?? 'null' });
}
