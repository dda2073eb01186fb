import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import {
  AddThingToThingGroupCommand,
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateCertificateFromCsrCommand,
  CreateThingCommand,
  DescribeEndpointCommand,
  IoTClient,
  ResourceAlreadyExistsException,
} from '@aws-sdk/client-iot';
import * as x509 from '@peculiar/x509';
import { DEVICE_ID, DEVICE_ID_FORM } from '../../../core/util/index.ts';
import { readAmazonRoots } from '../../session/index.ts';
import { type DeviceConnection, writeNvsTable, writeSecret, writeSecretsHeader } from './device-files.ts';

export interface AwsDeviceOptions {
  readonly region?: string;
  readonly profile?: string;
  readonly stack: string;
  readonly folder: string;
}

const CURVE = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const MQTT_PORT = 8883;
/**
 * Registers a device: a thing in the deployment's group, a certificate from a request signed here, and the policy. The
 * private key is made on this machine and never leaves it.
 * @throws Error that says what was made before the failure
 */
export async function addDeviceOnAws(deviceId: string, options: AwsDeviceOptions): Promise<DeviceConnection> {
  if (!DEVICE_ID.test(deviceId)) throw new Error(`"${deviceId}" is not a device id; expected ${DEVICE_ID_FORM}`);
  const { region, profile, stack, folder } = options;
  const client = { ...(region && { region }), ...(profile && { profile }) };
  const iot = new IoTClient(client);
  const outputs = await readOutputs(new CloudFormationClient(client), stack);
  const { endpointAddress } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
  if (endpointAddress === undefined) throw new Error('AWS IoT named no endpoint for this account and region.');

  const files = {
    caFile: join(folder, 'ca.pem'),
    certificateFile: join(folder, 'certificate.pem'),
    privateKeyFile: join(folder, 'private-key.pem'),
  };
  const { csr, privateKey } = await requestCertificate(deviceId);
  writeSecret(files.privateKeyFile, privateKey);
  await createThing(iot, deviceId, outputs.DeviceThingType);
  await iot.send(new AddThingToThingGroupCommand({ thingName: deviceId, thingGroupName: outputs.DeviceThingGroup }));
  const { certificateArn, certificatePem } = await iot.send(
    new CreateCertificateFromCsrCommand({ certificateSigningRequest: csr, setAsActive: true }),
  );
  if (certificateArn === undefined || certificatePem === undefined) throw new Error('AWS IoT made no certificate.');
  writeSecret(files.certificateFile, certificatePem);
  try {
    await iot.send(new AttachPolicyCommand({ policyName: outputs.DevicePolicy, target: certificateArn }));
    await iot.send(
      new AttachThingPrincipalCommand({
        thingName: deviceId,
        principal: certificateArn,
        thingPrincipalType: 'EXCLUSIVE_THING',
      }),
    );
  } catch (cause) {
    throw new Error(
      `${(cause as Error).message}; the certificate ${certificateArn} was made and is not attached: delete it in the AWS IoT console and remove ${folder} before trying again`,
      { cause },
    );
  }
  if (!existsSync(files.caFile)) writeSecret(files.caFile, readAmazonRoots());
  const device = { deviceId, host: endpointAddress, port: MQTT_PORT, ...files };
  writeSecretsHeader(device);
  writeNvsTable(device);
  return device;
}

/** The outputs of the service stack that concern device identity. */
const OUTPUTS = ['DevicePolicy', 'DeviceThingType', 'DeviceThingGroup'] as const;
type Outputs = Record<(typeof OUTPUTS)[number], string>;

async function readOutputs(client: CloudFormationClient, stack: string): Promise<Outputs> {
  const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
  const outputs = new Map(Stacks[0]?.Outputs?.map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]));
  const missing = OUTPUTS.filter((name) => outputs.get(name) === undefined);
  if (missing.length === 0) return Object.fromEntries(outputs) as Outputs;
  throw new Error(
    `stack ${stack} has no output ${missing.join(', ')}: name the service stack of paku-ota with --stack, or deploy it again`,
  );
}

async function requestCertificate(deviceId: string): Promise<{ csr: string; privateKey: string }> {
  const keys = await webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${deviceId}`,
    keys,
    signingAlgorithm: CURVE,
  });
  const exported = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { csr: csr.toString('pem'), privateKey: x509.PemConverter.encode(exported, 'PRIVATE KEY') };
}

/** Creates the thing unless it exists: a device may get a further certificate. */
async function createThing(iot: IoTClient, thingName: string, thingTypeName: string): Promise<void> {
  try {
    await iot.send(new CreateThingCommand({ thingName, thingTypeName }));
  } catch (error) {
    if (!(error instanceof ResourceAlreadyExistsException)) throw error;
  }
}
