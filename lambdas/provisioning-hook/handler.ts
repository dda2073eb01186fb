import * as z from 'zod';
import { spendAllowance } from '../../core/devices/index.ts';
import { DEVICE_ID } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';

/**
 * AWS IoT waits 5 s for an answer (IoT developer guide, "Pre-provisioning hooks"). A paused database takes three times
 * as long to resume: the device is refused, and by its next try the database is awake.
 */
const database = openDatabase({ resumeTimeoutMs: 2_000 });

const requestSchema = z.object({
  claimCertificateId: z.string().max(128),
  certificateId: z.string().max(128),
  clientId: z.string().max(128),
  parameters: z.object({ DeviceId: z.string().regex(DEVICE_ID) }),
});

/**
 * Decides whether AWS IoT may issue a certificate to a device that uses a provisioning claim. A refusal has no reason.
 */
export async function handler(event: unknown): Promise<{ allowProvisioning: boolean }> {
  const { data: request } = requestSchema.safeParse(event);
  if (request === undefined) {
    logger.warn('provisioning refused', { reason: 'the request is not of the expected form' });
    return { allowProvisioning: false };
  }
  const { parameters, certificateId, claimCertificateId, clientId } = request;
  const deviceId = parameters.DeviceId;
  const isOwnName = clientId === `claim/${deviceId}`;
  const certificates = isOwnName
    ? await spendAllowance(database, deviceId, { certificateId, claimCertificateId }, new Date())
    : 0;
  const isAllowed = certificates > 0;
  const message = isAllowed ? 'provisioning allowed' : 'provisioning refused';
  logger.info(message, { deviceId, clientId, claimCertificateId, certificates });
  count({ extraCertificates: certificates > 1 ? 1 : 0 });
  return { allowProvisioning: isAllowed };
}
