import {
  DescribeCertificateCommand,
  DescribeThingCommand,
  IoTClient,
  ListPrincipalThingsCommand,
  ListThingPrincipalsCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { iotRegistryService } from '../../../../local/services/iot/iot-registry.ts';
import { allow, REGION, startEndpoints, type TestEndpoints } from '../../../support/local/aws-endpoints.ts';
import { type BrokerUnderTest, startBrokerUnderTest } from '../../../support/local/device-connection.ts';

let broker: BrokerUnderTest;
let endpoints: TestEndpoints;

beforeEach(async () => {
  broker = await startBrokerUnderTest();
  endpoints = await startEndpoints({ iot: iotRegistryService(broker.authority, 'our-type') });
});

afterEach(async () => {
  await endpoints.aws.close();
  await broker.broker.close();
});

const clientOf = ({ credentials } = endpoints.operator) =>
  new IoTClient({ region: REGION, endpoint: endpoints.aws.url, credentials });

/** Revokes the certificate of a device. @returns the id of the certificate */
async function revoke(iot: IoTClient, thingName: string): Promise<string> {
  const { principals = [] } = await iot.send(new ListThingPrincipalsCommand({ thingName }));
  const certificateId = principals[0]?.split('/').at(-1) ?? '';
  await iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));
  return certificateId;
}

describe('a revoked certificate', () => {
  it('can no longer connect, and its device can get a new one', async () => {
    await broker.connect('van-1');
    const stolen = await broker.authority.addDevice('van-1');
    const id = await revoke(clientOf(), 'van-1');
    await expect(broker.connectWith(stolen, 'van-1')).rejects.toThrow('Not authorized');
    expect((await broker.connect('van-1')).connected).toBe(true);
    // The thief still has the files.
    const replaced = { ...stolen };
    for (const name of ['certificateFile', 'privateKeyFile'] as const) {
      replaced[name] = stolen[name].replace('devices/van-1', `replaced/${id}`);
    }
    await expect(broker.connectWith(replaced, 'van-1')).rejects.toThrow('Not authorized');
  });

  it('can be revoked only with the permission to', async () => {
    await broker.connect('van-1');
    const role = endpoints.role(allow(['iot:ListThingPrincipals']));
    await expect(revoke(clientOf(role), 'van-1')).rejects.toThrow('not authorized to perform');
    expect((await broker.connect('van-1')).connected).toBe(true);
  });
});

it('a device keeps its certificates when it gets another one, each with the time of its creation', async () => {
  await broker.authority.addDevice('van-1');
  await broker.authority.replaceDevice('van-1');
  await broker.authority.addDevice('van-2');
  const iot = clientOf();
  const { principals = [] } = await iot.send(new ListThingPrincipalsCommand({ thingName: 'van-1' }));
  expect(principals).toHaveLength(2);
  const described = principals.map((arn) =>
    iot.send(new DescribeCertificateCommand({ certificateId: arn.slice(-64) })),
  );
  const [newer, older] = (await Promise.all(described)).map(({ certificateDescription: each }) => each);
  expect(newer?.status).toBe('ACTIVE');
  expect(Number(newer?.creationDate)).toBeGreaterThan(Number(older?.creationDate));
  expect(await iot.send(new ListPrincipalThingsCommand({ principal: principals[1] }))).toMatchObject({
    things: ['van-1'],
  });
  const absent = iot.send(new DescribeCertificateCommand({ certificateId: '0'.repeat(64) }));
  await expect(absent).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});

it('a device with a local certificate is a thing of the deployment, and there are no other things', async () => {
  await broker.authority.addDevice('van-1');
  const iot = clientOf();
  expect(await iot.send(new DescribeThingCommand({ thingName: 'van-1' }))).toMatchObject({ thingTypeName: 'our-type' });
  for (const command of [DescribeThingCommand, ListThingPrincipalsCommand]) {
    const answer = iot.send(new command({ thingName: 'van-2' }) as DescribeThingCommand);
    await expect(answer).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  }
});
