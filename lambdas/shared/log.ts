import { Logger } from '@aws-lambda-powertools/logger';

/**
 * Writes one line of JSON per event. All functions share a service name, so that their lines can be searched together.
 */
export const logger = new Logger({ serviceName: 'paku-ota' });
