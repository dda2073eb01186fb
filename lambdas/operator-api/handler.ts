import type { APIGatewayProxyEventV2WithIAMAuthorizer, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { lastPause } from '../../core/orchestrator/index.ts';
import type { CommandFamily } from '../../core/protocol/index.ts';
import { ENV, isCanonicalPath, PATH_SEGMENT_FORM } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, readSigning, requireEnv } from '../shared/environment.ts';
import { readIdleMarker, wake } from '../shared/idle-marker.ts';
import { logger } from '../shared/log.ts';
import { enqueue } from '../shared/queue.ts';
import { createApp } from './app.ts';
import { thingCertificates } from './certificates.ts';
import { askConnection } from './connections.ts';
import { type DeadLetterQueueAddress, sqsDeadLetters } from './dead-letters.ts';
import { problemOf } from './problems.ts';
import { bucketUploads } from './uploads.ts';

const dispatchQueueUrl = requireEnv(ENV.dispatchQueueUrl);

/** The front door allows 30 s. A shorter timeout leaves time to tell the operator to come back later. */
const app = createApp({
  sql: openDatabase({ resumeTimeoutMs: 20_000 }),
  now: () => new Date(),
  settings: {
    topicPrefix: requireEnv(ENV.topicPrefix),
    commandFamily: requireEnv(ENV.commandFamily) as CommandFamily,
    linkBaseUrl: requireEnv(ENV.linkBaseUrl),
    models: readModels(),
    signing: readSigning(),
    requireApproval: requireEnv(ENV.requireApproval) === 'true',
    devicePolicy: requireEnv(ENV.devicePolicy),
  },
  uploads: bucketUploads(requireEnv(ENV.firmwareBucket), requireEnv(ENV.uploadQueueUrl)),
  askConnection,
  certificates: thingCertificates(requireEnv(ENV.thingType)),
  deadLetters: sqsDeadLetters(JSON.parse(requireEnv(ENV.deadLetters)) as Record<string, DeadLetterQueueAddress>),
  recordingPause: async () => lastPause(await readIdleMarker()),
  wake: () => wake(new Date()),
  dispatch: (updateIds) =>
    enqueue(
      dispatchQueueUrl,
      updateIds.map((updateId) => ({ updateId })),
    ),
});

const answer = handle(app);

/**
 * `/v1/*`: API Gateway has verified the signature and IAM has authorized the call. The caller is recorded in the
 * history.
 */
export async function handler(event: APIGatewayProxyEventV2WithIAMAuthorizer) {
  const response = isCanonicalPath(event.rawPath)
    ? await answer(event as unknown as LambdaEvent)
    : notCanonical(event.rawPath);
  const { authorizer, http } = event.requestContext;
  logger.info('operator', { caller: authorizer.iam.userArn, method: http.method, path: event.rawPath });
  return response;
}

/** Refuses a path before it is routed, because IAM may have authorized another spelling of it. */
const notCanonical = (path: string): APIGatewayProxyStructuredResultV2 => ({
  statusCode: 400,
  headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
  body: JSON.stringify(
    problemOf(
      400,
      `The path ${JSON.stringify(path.slice(0, 200))} is not in its canonical form. Each segment is ${PATH_SEGMENT_FORM}, without percent-encoding.`,
    ),
  ),
});
