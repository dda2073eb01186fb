import type { APIGatewayProxyEventV2WithIAMAuthorizer } from 'aws-lambda';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { isInIdleMode } from '../../core/orchestrator/index.ts';
import type { CommandFamily } from '../../core/policy/index.ts';
import { ENV } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, requireEnv } from '../shared/environment.ts';
import { readIdleMarker, wake } from '../shared/idle-marker.ts';
import { logger } from '../shared/log.ts';
import { enqueue } from '../shared/queue.ts';
import { createApp } from './app.ts';
import { thingCertificates } from './certificates.ts';
import { type DeadLetterQueueAddress, sqsDeadLetters } from './dead-letters.ts';
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
  },
  uploads: bucketUploads(requireEnv(ENV.firmwareBucket), requireEnv(ENV.uploadQueueUrl)),
  certificates: thingCertificates(requireEnv(ENV.thingType)),
  deadLetters: sqsDeadLetters(JSON.parse(requireEnv(ENV.deadLetters)) as Record<string, DeadLetterQueueAddress>),
  idleSince: async () => {
    const marker = await readIdleMarker();
    return isInIdleMode(marker, new Date()) ? marker.since : undefined;
  },
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
  const response = await answer(event as unknown as LambdaEvent);
  const { authorizer, http } = event.requestContext;
  logger.info('operator', { caller: authorizer.iam.userArn, method: http.method, path: event.rawPath });
  return response;
}
