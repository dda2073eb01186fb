import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { DatabaseUnavailableError } from '../../core/db/index.ts';
import { DIRECT_MAX_BYTES } from '../../core/policy/index.ts';
import { isLinkOver, parseLinkToken } from '../../core/protocol/index.ts';
import { settingsOf, trustRule } from '../../core/release-policy/index.ts';
import type { Download } from '../../core/updates/index.ts';
import { ENV } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, readSigning, requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { presignImage } from '../shared/presign.ts';
import { readSecret } from '../shared/secrets.ts';
import { openLink } from './open-link.ts';
import { serveBytes } from './serve-bytes.ts';

/** The front door allows 30 s. A shorter timeout leaves time to tell the device to come back later. */
const database = openDatabase({ resumeTimeoutMs: 20_000 });
const bucket = requireEnv(ENV.firmwareBucket);
const models = readModels();
const trust = trustRule(models, readSigning());

/**
 * `GET /d/{token}`: serves the image behind a short link, as a 302 to a URL presigned now or as bytes. `HEAD` tells the
 * size: clients that load an image in parts ask for it first.
 */
export async function handler(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
  const now = new Date();
  const link = parseLinkToken(event.pathParameters?.token ?? '', await readSecret(requireEnv(ENV.linkSecretArn)));
  if (link === undefined) return answer(404, 'no such link');
  // A device that repeats an old link for ever must not keep the database awake.
  if (isLinkOver(link, now)) return answer(410, 'this update is over');
  const { updateId, attempt } = link;
  try {
    const opened = await openLink(database, { updateId, attempt }, now, trust);
    if (opened.kind === 'unknown') return answer(404, 'no such link');
    if (opened.kind === 'over') return answer(410, 'this update is over');
    if (opened.kind === 'distrusted') return answer(410, `the release is not trusted any more: ${opened.reason}`);
    logger.info('link opened', { updateId, attempt });
    const { download } = opened;
    const isHead = event.requestContext.http.method === 'HEAD';
    const served = isHead ? describe(download) : await serve(download, event.headers.range);
    return { ...served, headers: { ...served.headers, ...signatureHeaders(download) } };
  } catch (error) {
    if (!(error instanceof DatabaseUnavailableError)) throw error;
    return { ...answer(503, 'try again shortly'), headers: { 'retry-after': '30', 'cache-control': 'no-store' } };
  }
}

async function serve(download: Download, range: string | undefined): Promise<APIGatewayProxyStructuredResultV2> {
  const delivery = download.delivery ?? settingsOf(models, download.device_model).delivery;
  if (delivery === 'direct' && download.file_size <= DIRECT_MAX_BYTES)
    return serveBytes(bucket, download.object_key, range);
  const location = await presignImage(bucket, download.object_key);
  return { statusCode: 302, headers: { location, 'cache-control': 'no-store' } };
}

/**
 * A URL that is presigned for GET refuses HEAD, and a client that follows a redirect keeps the URL for its GET. So HEAD is
 * answered here, without a redirect.
 */
function describe({ file_size: bytes }: Download): APIGatewayProxyStructuredResultV2 {
  return {
    statusCode: 200,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
      'accept-ranges': 'bytes',
      'cache-control': 'no-store',
    },
    body: '',
  };
}

/**
 * The manifest as it was signed, and its signature in base64, for firmware that verifies them. A client that follows a
 * redirect sees them in the first response.
 */
const signatureHeaders = ({ manifest, manifest_signature: signature }: Download): Record<string, string> =>
  manifest === null || signature === null ? {} : { 'paku-ota-manifest': manifest, 'paku-ota-signature': signature };

function answer(statusCode: number, message: string): APIGatewayProxyStructuredResultV2 {
  return { statusCode, headers: { 'content-type': 'text/plain', 'cache-control': 'no-store' }, body: `${message}\n` };
}
