import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { forgetRejectedUpload, recordRejectedUpload } from '../../core/releases/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, readSigning } from '../shared/environment.ts';
import { wake } from '../shared/idle-marker.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { findRequester } from './find-requester.ts';
import { registerUpload } from './register-upload.ts';
import { findDescribedUpload } from './signed-upload.ts';
import { parseUploadEvent } from './upload-event.ts';

const database = openDatabase();
const settings = { models: readModels(), signing: readSigning() };

/**
 * Registers an uploaded object as a firmware release or records why it was rejected. An exception (the database or S3
 * did not respond) returns the event to the queue; an invalid upload never does.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  for (const { body } of event.Records) {
    const object = parseUploadEvent(body);
    const upload = await findDescribedUpload(object, settings);
    if (upload === undefined) {
      logger.info('signature without a waiting upload', { key: object.key });
      continue;
    }
    const requestedBy = await findRequester(database, upload);
    const outcome = await registerUpload(database, { ...upload, requestedBy }, settings, new Date());
    const { key, versionId = 'null', sizeBytes, uploadedAt, putBy, putFrom } = upload;
    // The object is a release now, so earlier rejections of it are obsolete.
    if (outcome.kind !== 'ignored' && outcome.kind !== 'rejected') await forgetRejectedUpload(database, key, versionId);
    if (outcome.kind === 'rejected') {
      const { verdict, message, image } = outcome;
      await recordRejectedUpload(database, {
        objectKey: key,
        objectVersion: versionId,
        sizeBytes,
        verdict,
        message,
        image,
        uploadedAt,
        requestedBy,
        putBy,
        putFrom,
      });
    }
    // A rollout may have been waiting for this release.
    if (outcome.kind === 'registered') await wake(new Date());
    count({ rejectedUploads: outcome.kind === 'rejected' ? 1 : 0 });
    logger.info('upload', { key, requestedBy, putBy, putFrom, outcome: { ...outcome, image: undefined } });
  }
  return { batchItemFailures: [] };
}
