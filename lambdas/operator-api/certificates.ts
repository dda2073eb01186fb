import {
  DescribeThingCommand,
  IoTClient,
  ListThingPrincipalsCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { DeleteConnectionCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import type { Services } from './context.ts';

const iot = new IoTClient({});
const data = new IoTDataPlaneClient({});

/**
 * The certificates of devices in AWS IoT.
 * @param thingType thing type of this deployment's devices
 */
export function thingCertificates(thingType: string): Services['certificates'] {
  return {
    async isOurs(deviceId) {
      const thing = await iot.send(new DescribeThingCommand({ thingName: deviceId })).catch(unlessAbsent);
      return thing?.thingTypeName === thingType;
    },
    async revoke(deviceId) {
      const revoked = new Map<string, Promise<unknown>>();
      const revokeAll = async () => {
        for (const id of await listCertificates(deviceId)) {
          if (!revoked.has(id)) revoked.set(id, revokeCertificate(id));
        }
        await Promise.allSettled(revoked.values());
      };
      await revokeAll();
      // Repeats the listing, because a certificate may just have been issued to the device.
      await revokeAll();
      // AWS ends the connections of a revoked certificate within minutes (UpdateCertificate, API reference); this ends
      // them at once.
      await data.send(new DeleteConnectionCommand({ clientId: deviceId })).catch(unlessAbsent);
      // Awaited last, so that one failure does not prevent the other steps.
      await Promise.all(revoked.values());
      return [...revoked.keys()];
    },
  };
}

const revokeCertificate = (certificateId: string) =>
  iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));

async function listCertificates(thingName: string): Promise<string[]> {
  const all: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await iot
      .send(new ListThingPrincipalsCommand({ thingName, ...(nextToken && { nextToken }) }))
      .catch(unlessAbsent);
    all.push(...(page?.principals ?? []));
    nextToken = page?.nextToken;
  } while (nextToken !== undefined);
  return all.filter((principal) => principal.includes(':cert/')).map((arn) => arn.slice(arn.lastIndexOf('/') + 1));
}

function unlessAbsent(error: Error): undefined {
  if (error.name !== 'ResourceNotFoundException') throw error;
}
