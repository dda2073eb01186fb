import { Logger } from '@aws-lambda-powertools/logger';

/** One line of JSON an event. The service name is the function's, so that lines of all functions can be searched together. */
export const logger = new Logger({ serviceName: 'paku-ota' });
