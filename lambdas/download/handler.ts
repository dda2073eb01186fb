import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { type Download, readDownload } from '../../core/downloads.ts';
import { ENV } from '../../core/env-names.ts';
import { DatabaseUnavailableError } from '../../core/errors.ts';
import { judgeUpdates } from '../../core/judging.ts';
import { type LinkTarget, readLinkToken } from '../../core/link.ts';
import { settingsOf } from '../../core/model-settings.ts';
import { recordReports } from '../../core/reports.ts';
import { sha256 } from '../../core/rule-message.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { presignImage } from '../shared/presign.ts';
import { readSecret } from '../shared/secrets.ts';
import { DIRECT_MAX_BYTES, serveBytes } from './serve-bytes.ts';

/** The front door answers within 30 s; a device that is told to come back later does not wait that long in vain. */
const database = openDatabase({ resumeTimeoutMs: 20_000 });
const bucket = requireEnv(ENV.firmwareBucket);
const models = readModels();

/** `GET /d/{token}`: the image behind a short link, as 302 to a URL presigned this second, or as bytes. */
export async function handler(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
  const now = new Date();
  const target = readLinkToken(event.pathParameters?.token ?? '', await readSecret(requireEnv(ENV.linkSecretArn)));
  if (target === undefined) return answer(404, 'no such link');
  try {
    const download = await readDownload(database, target);
    if (download === undefined) return answer(404, 'no such link');
    if (!download.is_open) return answer(410, 'this update is over');
    await recordFetch(target, download, now);
    return await serve(download, event.headers.range);
  } catch (error) {
    if (!(error instanceof DatabaseUnavailableError)) throw error;
    return { ...answer(503, 'try again shortly'), headers: { 'retry-after': '30', 'cache-control': 'no-store' } };
  }
}

async function serve(download: Download, range: string | undefined): Promise<APIGatewayProxyStructuredResultV2> {
  const { delivery } = settingsOf(models, download.device_model);
  if (delivery === 'direct' && download.file_size <= DIRECT_MAX_BYTES)
    return serveBytes(bucket, download.object_key, range);
  const location = await presignImage(bucket, download.object_key);
  return { statusCode: 302, headers: { location, 'cache-control': 'no-store' } };
}

/** Opening the link acknowledges the command: QoS 0 may have lost the acceptance. */
async function recordFetch({ updateId, attempt }: LinkTarget, { device_id }: Download, now: Date): Promise<void> {
  const payloadHash = sha256(`fetch ${updateId} ${attempt}`);
  const payload = { updateId, attempt };
  const updateIds = await recordReports(database, [
    { deviceId: device_id, type: 'fetch', receivedAt: now, payloadHash, payload, version: null, state: 'downloading' },
  ]);
  await judgeUpdates(database, updateIds, now);
  logger.info('link opened', { updateId, attempt });
}

function answer(statusCode: number, message: string): APIGatewayProxyStructuredResultV2 {
  return { statusCode, headers: { 'content-type': 'text/plain', 'cache-control': 'no-store' }, body: `${message}\n` };
}
