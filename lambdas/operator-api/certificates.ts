import { DeleteConnectionCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import {
  certificateIdOf,
  isThingOf,
  listCertificates,
  revokeCertificate,
  unlessAbsent,
} from '../shared/thing-certificates.ts';
import type { Services } from './context.ts';

const data = new IoTDataPlaneClient({});

/**
 * The certificates of devices in AWS IoT.
 * @param thingType thing type of this deployment's devices
 */
export function thingCertificates(thingType: string): Services['certificates'] {
  return {
    isOurs: (deviceId) => isThingOf(thingType, deviceId),
    async revoke(deviceId) {
      const revoked = new Map<string, Promise<unknown>>();
      const revokeAll = async () => {
        for (const id of (await listCertificates(deviceId)).map(certificateIdOf)) {
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
