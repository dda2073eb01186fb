import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { PRESIGNED_SECONDS } from '../../core/protocol/index.ts';

/**
 * Devices verify the SHA-256 themselves; without these settings the URL would include other checksums and be longer.
 */
const client = new S3Client({
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
});

/** A URL that serves the image for up to an hour; it expires earlier if the role session that signed it does. */
export const presignImage = (bucket: string, key: string): Promise<string> =>
  getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: PRESIGNED_SECONDS });
