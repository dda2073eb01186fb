import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';

/** One line of JSON an event. The service name is the function's, so that lines of all functions can be searched together. */
export const logger = new Logger({ serviceName: 'paku-ota' });

export const metrics = new Metrics({
  namespace: 'PakuOta',
  serviceName: process.env.AWS_LAMBDA_FUNCTION_NAME ?? 'test',
});
