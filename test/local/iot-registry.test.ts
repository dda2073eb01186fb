import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { revokeCertificates } from '../../cli/revoke-certificates.ts';
import type { Target } from '../../cli/target.ts';
import type { Endpoints } from '../../local/home.ts';
import { iotDataService } from '../../local/iot-data.ts';
import { iotRegistryService } from '../../local/iot-registry.ts';
import { allow, REGION, startEndpoints, type TestEndpoints } from './aws-endpoints.ts';
import { type BrokerUnderTest, closed, startBrokerUnderTest } from './device-connection.ts';

let broker: BrokerUnderTest;
let endpoints: TestEndpoints;

beforeEach(async () => {
  broker = await startBrokerUnderTest();
  endpoints = await startEndpoints({
    iot: iotRegistryService(broker.authority),
    iotdata: iotDataService(broker.broker),
  });
});

afterEach(async () => {
  await endpoints.aws.close();
  await broker.broker.close();
});

/** The local system as the command line sees it. */
const target = (credentials = endpoints.operator.credentials): Target => ({
  kind: 'local',
  name: 'here',
  apiUrl: '',
  region: REGION,
  credentials,
  endpoints: { dataApi: { endpoint: endpoints.aws.url } } as Endpoints,
});

describe('a revoked certificate', () => {
  it('is cut off, refused from then on, and does not stop its device from getting another', async () => {
    const client = await broker.connect('van-1');
    const files = await broker.authority.addDevice('van-1');
    const bystander = await broker.connect('van-2');
    const end = closed(client);
    const [id = ''] = await revokeCertificates(target(), 'van-1');
    await end;
    expect(bystander.connected).toBe(true);
    // Its thief has the files still.
    const stolen = { ...files };
    for (const name of ['certificateFile', 'privateKeyFile'] as const) {
      stolen[name] = stolen[name].replace('devices/van-1', `detached/${id}`);
    }
    await expect(broker.connectWith(stolen, 'van-1')).rejects.toThrow('Not authorized');
    expect((await broker.connect('van-1')).connected).toBe(true);
    await expect(broker.connectWith(stolen, 'van-1')).rejects.toThrow('Not authorized');
    expect(await revokeCertificates(target(), 'van-3')).toEqual([]);
  });

  it('is revoked by those only who may', async () => {
    const client = await broker.connect('van-1');
    const role = endpoints.role(allow(['iot:ListThingPrincipals', 'iot:DeleteConnection']));
    await expect(revokeCertificates(target(role.credentials), 'van-1')).rejects.toThrow('not authorized to perform');
    expect(client.connected).toBe(true);
  });
});
