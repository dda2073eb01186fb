import { DescribeCertificateCommand, ListPrincipalThingsCommand } from '@aws-sdk/client-iot';
import type { Sql } from '../../core/db/index.ts';
import {
  type CheckedCertificate,
  listNewCertificates,
  type NewCertificate,
  recordCheckedCertificates,
} from '../../core/devices/index.ts';
import { ORCHESTRATOR } from '../../core/policy/index.ts';
import { logger } from '../shared/log.ts';
import {
  certificateIdOf,
  iot,
  isThingOf,
  listCertificates,
  revokeCertificate,
  unlessAbsent,
} from '../shared/thing-certificates.ts';

/** Devices per tick; AWS IoT limits these calls to ten a second. */
const DEVICES_PER_TICK = 20;

/**
 * Revokes the older certificates of devices that have begun to use another one. A certificate revokes only those that
 * were created before it, so that a stolen old one cannot revoke its successor. It revokes none that it does not belong
 * to the same thing with, that belongs to a second thing, or of things that are not of the given type. A device that
 * fails is tried again at a later tick.
 */
export async function revokeOlderCertificates(sql: Sql, thingType: string, now: Date): Promise<void> {
  const checked: CheckedCertificate[] = [];
  for (const device of await listNewCertificates(sql, DEVICES_PER_TICK)) {
    try {
      checked.push({ ...device, revoked: await revokeOlder(device, thingType) });
    } catch (error) {
      logger.error(`the older certificates of ${device.device_id} were not revoked`, error as Error);
    }
  }
  await recordCheckedCertificates(sql, checked, ORCHESTRATOR, now);
}

/** @returns the ids of the certificates that were revoked */
async function revokeOlder({ device_id: id, certificate_id: used }: NewCertificate, thingType: string) {
  const certificates = await listCertificates(id);
  const others = certificates.filter((arn) => certificateIdOf(arn) !== used);
  if (others.length === 0 || others.length === certificates.length || !(await isThingOf(thingType, id))) return [];
  const current = await describe(used);
  const revoked: string[] = [];
  for (const arn of others) {
    const other = await describe(certificateIdOf(arn));
    if (current === undefined || other === undefined) continue;
    if (other.status === 'REVOKED' || other.createdAt >= current.createdAt || (await isShared(arn))) continue;
    await revokeCertificate(certificateIdOf(arn));
    revoked.push(certificateIdOf(arn));
  }
  return revoked;
}

/** @returns undefined if it does not exist, or AWS IoT does not say when it was created */
async function describe(certificateId: string) {
  const answer = await iot.send(new DescribeCertificateCommand({ certificateId })).catch(unlessAbsent);
  const { status, creationDate: createdAt } = answer?.certificateDescription ?? {};
  return createdAt === undefined ? undefined : { status, createdAt };
}

/** True if other things use the certificate, too. */
async function isShared(principal: string): Promise<boolean> {
  const { things = [] } = await iot.send(new ListPrincipalThingsCommand({ principal }));
  return things.length > 1;
}
