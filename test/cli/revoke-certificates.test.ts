import {
  DetachPolicyCommand,
  DetachThingPrincipalCommand,
  IoTClient,
  ListThingPrincipalsCommand,
  ResourceNotFoundException,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { DeleteConnectionCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, expect, test } from 'vitest';
import { revokeCertificates } from '../../cli/revoke-certificates.ts';
import type { Target } from '../../cli/target.ts';

const iot = mockClient(IoTClient);
const data = mockClient(IoTDataPlaneClient);
const ARN = 'arn:aws:iot:eu-west-1:1:cert/';
const target: Target = {
  kind: 'aws',
  name: 'stack PakuOta',
  apiUrl: 'https://api',
  region: 'eu-west-1',
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  outputs: new Map([['DevicePolicy', 'the-policy']]),
};

const order: string[] = [];
beforeEach(() => {
  order.length = 0;
  iot.reset();
  data.reset();
  iot.on(ListThingPrincipalsCommand).resolvesOnce({ principals: [`${ARN}one`], nextToken: 'more' });
  iot
    .on(ListThingPrincipalsCommand, { thingName: 'ESP32-1', nextToken: 'more' })
    .resolves({ principals: [`${ARN}two`, 'arn:aws:cognito-identity:eu-west-1:1:identity/x'] });
  const note = (name: string) => async () => {
    order.push(name);
    return {};
  };
  iot.on(UpdateCertificateCommand).callsFake(note('revoke'));
  iot.on(DetachPolicyCommand).callsFake(note('policy'));
  iot.on(DetachThingPrincipalCommand).callsFake(note('detach'));
  data.on(DeleteConnectionCommand).callsFake(note('disconnect'));
});

test('every certificate of the thing is revoked before it is cut off, and detached last', async () => {
  expect(await revokeCertificates(target, 'ESP32-1')).toEqual(['one', 'two']);
  expect(order).toEqual(['revoke', 'revoke', 'disconnect', 'policy', 'detach', 'policy', 'detach']);
  expect(iot.commandCalls(UpdateCertificateCommand).map(({ args }) => args[0].input)).toEqual([
    { certificateId: 'one', newStatus: 'REVOKED' },
    { certificateId: 'two', newStatus: 'REVOKED' },
  ]);
  expect(data.commandCalls(DeleteConnectionCommand)[0]?.args[0].input).toEqual({ clientId: 'ESP32-1' });
  expect(iot.commandCalls(DetachPolicyCommand)[0]?.args[0].input).toEqual({
    policyName: 'the-policy',
    target: `${ARN}one`,
  });
});

test('a device that is not connected, or has no thing, is no error', async () => {
  const absent = { $metadata: {}, message: 'absent' };
  data.on(DeleteConnectionCommand).rejects(new ResourceNotFoundException(absent));
  expect(await revokeCertificates(target, 'ESP32-1')).toEqual(['one', 'two']);
  iot.reset();
  iot.on(ListThingPrincipalsCommand).rejects(new ResourceNotFoundException(absent));
  expect(await revokeCertificates(target, 'ESP32-1')).toEqual([]);
});

test('a failure leaves the certificates attached, so that a second try finds them', async () => {
  data.on(DeleteConnectionCommand).rejects(new Error('throttled'));
  await expect(revokeCertificates(target, 'ESP32-1')).rejects.toThrow('throttled');
  expect(order).toEqual(['revoke', 'revoke']);
});
