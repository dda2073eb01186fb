import {
  DescribeThingCommand,
  IoTClient,
  ListThingPrincipalsCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import type { DeviceId } from '../../core/util/index.ts';

export const iot = new IoTClient({});

/** True if AWS IoT has the device as a thing of this type. */
export async function isThingOf(thingType: string, thingName: DeviceId): Promise<boolean> {
  const thing = await iot.send(new DescribeThingCommand({ thingName })).catch(unlessAbsent);
  return thing?.thingTypeName === thingType;
}

/** Revokes a certificate for good. */
export const revokeCertificate = (certificateId: string) =>
  iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));

/** The ARNs of the certificates of a thing; none if there is no such thing. */
export async function listCertificates(thingName: DeviceId): Promise<string[]> {
  const all: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await iot
      .send(new ListThingPrincipalsCommand({ thingName, ...(nextToken && { nextToken }) }))
      .catch(unlessAbsent);
    all.push(...(page?.principals ?? []));
    nextToken = page?.nextToken;
  } while (nextToken !== undefined);
  return all.filter((principal) => principal.includes(':cert/'));
}

/** The id of a certificate in its ARN. */
export const certificateIdOf = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);

/** @throws the error, unless it says that something does not exist */
export function unlessAbsent(error: Error): undefined {
  if (error.name !== 'ResourceNotFoundException') throw error;
}
