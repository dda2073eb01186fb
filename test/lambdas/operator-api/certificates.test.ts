import {
  DescribeThingCommand,
  IoTClient,
  ListThingPrincipalsCommand,
  ResourceNotFoundException,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { DeleteConnectionCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { beforeEach, expect, test } from 'vitest';
import { thingCertificates } from '../../../lambdas/operator-api/certificates.ts';
import { mockClient } from '../../support/mock-client.ts';

const iot = mockClient(IoTClient);
const data = mockClient(IoTDataPlaneClient);
const ARN = 'arn:aws:iot:eu-west-1:1:cert/';
const ABSENT = new ResourceNotFoundException({ $metadata: {}, message: 'absent' });
const certificates = thingCertificates('our-type');

const order: string[] = [];
beforeEach(() => {
  order.length = 0;
  iot.reset();
  data.reset();
  iot
    .on(ListThingPrincipalsCommand, { thingName: 'ESP32-1' })
    .resolves({ principals: [`${ARN}one`], nextToken: 'more' });
  iot
    .on(ListThingPrincipalsCommand, { thingName: 'ESP32-1', nextToken: 'more' })
    .resolves({ principals: [`${ARN}two`, 'arn:aws:cognito-identity:eu-west-1:1:identity/x'] });
  const note = (name: string) => async () => {
    order.push(name);
    return {};
  };
  iot.on(UpdateCertificateCommand).callsFake(note('revoke'));
  data.on(DeleteConnectionCommand).callsFake(note('disconnect'));
});

test('revokes every certificate of the thing before it ends the connection', async () => {
  expect(await certificates.revoke('ESP32-1')).toEqual(['one', 'two']);
  expect(order).toEqual(['revoke', 'revoke', 'disconnect']);
  expect(iot.commandCalls(UpdateCertificateCommand).map(({ args }) => args[0].input)).toEqual([
    { certificateId: 'one', newStatus: 'REVOKED' },
    { certificateId: 'two', newStatus: 'REVOKED' },
  ]);
  expect(data.commandCalls(DeleteConnectionCommand)[0]?.args[0].input).toEqual({ clientId: 'ESP32-1' });
});

test('accepts a device that is not connected or has no thing', async () => {
  data.on(DeleteConnectionCommand).rejects(ABSENT);
  expect(await certificates.revoke('ESP32-1')).toEqual(['one', 'two']);
  iot.reset();
  iot.on(ListThingPrincipalsCommand).rejects(ABSENT);
  expect(await certificates.revoke('ESP32-1')).toEqual([]);
});

test('throws a failure, so that the caller can try again', async () => {
  data.on(DeleteConnectionCommand).rejects(new Error('throttled'));
  await expect(certificates.revoke('ESP32-1')).rejects.toThrow('throttled');
});

test('revokes the other certificates if one fails, and throws', async () => {
  iot.on(UpdateCertificateCommand, { certificateId: 'one' }).rejects(new Error('not this one'));
  await expect(certificates.revoke('ESP32-1')).rejects.toThrow('not this one');
  expect(order).toEqual(['revoke', 'disconnect']);
});

test('revokes a certificate that the device gets meanwhile', async () => {
  iot.reset();
  iot
    .on(ListThingPrincipalsCommand)
    .resolvesOnce({ principals: [`${ARN}one`] })
    .resolves({ principals: [`${ARN}one`, `${ARN}new`] });
  iot.on(UpdateCertificateCommand).resolves({});
  expect(await certificates.revoke('ESP32-1')).toEqual(['one', 'new']);
  expect(iot.commandCalls(UpdateCertificateCommand)).toHaveLength(2);
});

test('recognizes things of this deployment by their type', async () => {
  iot.on(DescribeThingCommand).resolvesOnce({ thingTypeName: 'our-type' }).resolvesOnce({ thingTypeName: 'lamp' });
  expect(await certificates.isOurs('ESP32-1')).toBe(true);
  expect(await certificates.isOurs('lamp-1')).toBe(false);
  iot.on(DescribeThingCommand).rejects(ABSENT);
  expect(await certificates.isOurs('nobody')).toBe(false);
});
