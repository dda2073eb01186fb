import {
  DetachPolicyCommand,
  DetachThingPrincipalCommand,
  IoTClient,
  ListThingPrincipalsCommand,
  ResourceNotFoundException,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { DeleteConnectionCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import type { Target } from './target.ts';

/**
 * Revokes every certificate of a device, which AWS never takes back, ends its connection and takes the certificates from
 * the thing. The thing stays: it is the device's name, for a certificate that it may be given later. May be repeated.
 * @returns ids of the certificates
 */
export async function revokeCertificates(target: Target, deviceId: string): Promise<string[]> {
  const { region, credentials, endpoints, outputs } = target;
  const client = { region, credentials, ...(endpoints && { endpoint: endpoints.dataApi.endpoint }) };
  const iot = new IoTClient(client);
  const principals = await listPrincipals(iot, deviceId);
  for (const principal of principals) {
    await iot.send(new UpdateCertificateCommand({ certificateId: idOf(principal), newStatus: 'REVOKED' }));
  }
  await disconnect(new IoTDataPlaneClient(client), deviceId);
  const policyName = outputs?.get('DevicePolicy');
  for (const principal of principals) {
    if (policyName !== undefined) await iot.send(new DetachPolicyCommand({ policyName, target: principal }));
    // Last: what is detached would not be found by a second try.
    await iot.send(new DetachThingPrincipalCommand({ thingName: deviceId, principal }));
  }
  return principals.map(idOf);
}

const idOf = (principal: string) => principal.slice(principal.lastIndexOf('/') + 1);

async function listPrincipals(iot: IoTClient, thingName: string): Promise<string[]> {
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

/** AWS ends the connections of a revoked certificate within minutes (UpdateCertificate, API reference); this does at once. */
async function disconnect(iot: IoTDataPlaneClient, clientId: string): Promise<void> {
  await iot.send(new DeleteConnectionCommand({ clientId })).catch(unlessAbsent);
}

function unlessAbsent(error: Error): undefined {
  if (error.name !== ResourceNotFoundException.name) throw error;
}
