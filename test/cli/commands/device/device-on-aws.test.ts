import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeDevice } from '../../../../cli/commands/device/device-files.ts';
import { addDeviceOnAws } from '../../../../cli/commands/device/device-on-aws.ts';
import { mockClient } from '../../../support/mock-client.ts';

const iot = mockClient(IoTClient);
const cloudFormation = mockClient(CloudFormationClient);
const ARN = 'arn:aws:iot:eu-west-1:1:cert/abc';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'paku-ota-device-'));
  writeFileSync(join(folder, 'ca.pem'), 'CA');
  iot.reset();
  cloudFormation.reset();
  cloudFormation.on(DescribeStacksCommand).resolves({
    Stacks: [
      {
        StackName: 'PakuOta',
        CreationTime: new Date(0),
        StackStatus: 'CREATE_COMPLETE',
        Outputs: [
          { OutputKey: 'DevicePolicy', OutputValue: 'the-policy' },
          { OutputKey: 'DeviceThingType', OutputValue: 'the-type' },
          { OutputKey: 'DeviceThingGroup', OutputValue: 'the-group' },
        ],
      },
    ],
  });
  iot.on(DescribeEndpointCommand).resolves({ endpointAddress: 'x-ats.iot.eu-west-1.amazonaws.com' });
  iot.on(CreateThingCommand).resolves({});
  iot.on(AddThingToThingGroupCommand).resolves({});
  iot.on(CreateCertificateFromCsrCommand).resolves({ certificateArn: ARN, certificatePem: 'CERTIFICATE' });
  iot.on(AttachPolicyCommand).resolves({});
  iot.on(AttachThingPrincipalCommand).resolves({});
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const add = (deviceId = 'ESP32-1') => addDeviceOnAws(deviceId, { stack: 'PakuOta', region: 'eu-west-1', folder });

test('a device gets a thing, a certificate for a key that stays on this machine, and the policy', async () => {
  const device = await add();
  expect(device).toMatchObject({ deviceId: 'ESP32-1', host: 'x-ats.iot.eu-west-1.amazonaws.com', port: 8883 });
  expect(iot.commandCalls(CreateThingCommand)[0]?.args[0].input).toEqual({
    thingName: 'ESP32-1',
    thingTypeName: 'the-type',
  });
  expect(iot.commandCalls(AddThingToThingGroupCommand)[0]?.args[0].input).toEqual({
    thingName: 'ESP32-1',
    thingGroupName: 'the-group',
  });
  expect(iot.commandCalls(AttachPolicyCommand)[0]?.args[0].input).toEqual({ policyName: 'the-policy', target: ARN });
  expect(iot.commandCalls(AttachThingPrincipalCommand)[0]?.args[0].input).toEqual({
    thingName: 'ESP32-1',
    principal: ARN,
    thingPrincipalType: 'EXCLUSIVE_THING',
  });
  const { certificateSigningRequest = '', setAsActive } =
    iot.commandCalls(CreateCertificateFromCsrCommand)[0]?.args[0].input ?? {};
  const request = new x509.Pkcs10CertificateRequest(certificateSigningRequest);
  expect([request.subject, await request.verify(), setAsActive]).toEqual(['CN=ESP32-1', true, true]);

  const key = readFileSync(device.privateKeyFile, 'utf8');
  expect(statSync(device.privateKeyFile).mode & 0o077).toBe(0);
  const secret = key.split('\n')[1] ?? '';
  expect(secret.length).toBeGreaterThan(40);
  expect(JSON.stringify(iot.calls().map((call) => call.args[0].input))).not.toContain(secret);
  expect(readFileSync(join(folder, 'secrets.h'), 'utf8')).toContain(
    '#define MQTT_HOST "x-ats.iot.eu-west-1.amazonaws.com"',
  );
});

test('the files are readable by their owner only, and the printed text has no key in it', async () => {
  const device = await add();
  for (const file of ['private-key.pem', 'certificate.pem', 'secrets.h', 'nvs.csv']) {
    expect(statSync(join(folder, file)).mode & 0o077, file).toBe(0);
  }
  const secret = readFileSync(device.privateKeyFile, 'utf8').split('\n')[1] ?? '';
  expect(secret.length).toBeGreaterThan(40);
  for (const printed of [describeDevice(device), JSON.stringify(device)]) {
    expect(printed).toContain(device.privateKeyFile);
    expect(printed).not.toContain(secret);
    expect(printed).not.toContain('BEGIN');
  }
});

test('nvs.csv has the form of nvs_partition_gen: short keys, and existing files', async () => {
  await add();
  const [head, ...rows] = readFileSync(join(folder, 'nvs.csv'), 'utf8').trim().split('\n');
  expect(head).toBe('key,type,encoding,value');
  const entries = rows.map((row) => row.split(','));
  expect(entries[0]).toEqual(['paku', 'namespace', '', '']);
  for (const [key = '', type, , value = ''] of entries) {
    expect(key.length).toBeLessThanOrEqual(15);
    // A string in NVS has at most 4,000 bytes, its final zero included.
    if (type === 'file') expect(statSync(join(folder, value)).size).toBeLessThan(4_000);
  }
  expect(Object.fromEntries(entries.map(([key, , encoding, value]) => [key, [encoding, value]]))).toMatchObject({
    device_id: ['string', 'ESP32-1'],
    mqtt_host: ['string', 'x-ats.iot.eu-west-1.amazonaws.com'],
    mqtt_port: ['u16', '8883'],
    device_key: ['string', 'private-key.pem'],
  });
});

test('an existing thing gets a further certificate', async () => {
  iot.on(CreateThingCommand).rejects(new ResourceAlreadyExistsException({ $metadata: {}, message: 'there' }));
  await expect(add()).resolves.toMatchObject({ deviceId: 'ESP32-1' });
});

test('an existing key is not overwritten', async () => {
  await add();
  const key = readFileSync(join(folder, 'private-key.pem'), 'utf8');
  await expect(add()).rejects.toThrow('exists and is not overwritten');
  expect(readFileSync(join(folder, 'private-key.pem'), 'utf8')).toBe(key);
});

test('an error half-way says what was made', async () => {
  iot.on(AttachPolicyCommand).rejects(new Error('denied'));
  await expect(add()).rejects.toThrow(`denied; the certificate ${ARN} was made and is not attached`);
});

test('a stack without the outputs, or an invalid device id, is refused before anything is made', async () => {
  await expect(add('a/b')).rejects.toThrow('"a/b" is not a device id');
  cloudFormation.on(DescribeStacksCommand).resolves({ Stacks: [] });
  await expect(add()).rejects.toThrow('stack PakuOta has no output DevicePolicy, DeviceThingType, DeviceThingGroup');
  expect(iot.commandCalls(CreateThingCommand)).toHaveLength(0);
  expect(existsSync(join(folder, 'private-key.pem'))).toBe(false);
});

/** SHA-256 of the public keys, from https://www.amazontrust.com/repository/, read on 2026-11-30. */
const PUBLISHED_KEYS = [
  'fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2',
  '7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461',
  '36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9',
  'f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5',
  '2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92',
];

test('the device gets the five roots that Amazon Trust Services publishes', async () => {
  rmSync(join(folder, 'ca.pem'));
  const { caFile } = await add();
  const certificates = x509.PemConverter.decode(readFileSync(caFile, 'utf8')).map(
    (der) => new X509Certificate(Buffer.from(der)),
  );
  const keys = certificates.map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'der' }));
  expect(keys.map((key) => createHash('sha256').update(key).digest('hex'))).toEqual(PUBLISHED_KEYS);
  for (const certificate of certificates) expect(certificate.verify(certificate.publicKey)).toBe(true);
});

/** Espressif's tool, in an environment of its own; see .ci/run. */
const generatorPython = process.env.NVS_GENERATOR_PYTHON;

test.skipIf(generatorPython === undefined)('the generator of ESP-IDF makes a partition of the table', async () => {
  rmSync(join(folder, 'ca.pem'));
  await add();
  const run = ['-m', 'esp_idf_nvs_partition_gen', 'generate', 'nvs.csv', 'nvs.bin', '0x4000'];
  execFileSync(generatorPython ?? '', run, { cwd: folder, stdio: 'pipe' });
  const partition = readFileSync(join(folder, 'nvs.bin'));
  expect(partition).toHaveLength(0x4000);
  for (const text of ['ca_cert', '-----BEGIN CERTIFICATE-----', 'ESP32-1']) expect(partition.includes(text)).toBe(true);
});
