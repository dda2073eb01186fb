import { readFileSync } from 'node:fs';
import {
  IoTDataPlaneClient,
  ResourceNotFoundException,
  SendDirectMessageCommand,
} from '@aws-sdk/client-iot-data-plane';
import { GetBucketNotificationConfigurationCommand, GetBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { DeviceDetail } from '../../../../api/devices.ts';
import type { ReleaseDetail } from '../../../../api/releases.ts';
import type { DeviceUpdate } from '../../../../api/rollouts.ts';
import {
  ASSUMPTION_CHECKS,
  type Evidence,
  readAssumptions,
  readBehaviours,
} from '../../../../cli/commands/doctor/assumptions.ts';
import { checkBucket, sendToAbsentClient } from '../../../../cli/commands/doctor/check-aws.ts';
import { checkClock, checkSchema } from '../../../../cli/commands/doctor/check-system.ts';
import { mockClient } from '../../../support/mock-client.ts';

const DOCUMENT = readFileSync(new URL('../../../../docs/aws-assumptions.md', import.meta.url), 'utf8');

const target = {
  kind: 'aws' as const,
  name: 'stack PakuOta in eu-west-1',
  apiUrl: 'https://api',
  region: 'eu-west-1',
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  outputs: new Map([['FirmwareBucket', 'the-bucket']]),
};

test('each line of docs/aws-assumptions.md has one check, and each check one line', () => {
  const behaviours = readBehaviours(DOCUMENT);
  expect(behaviours.length).toBeGreaterThan(10);
  for (const beginning of Object.keys(ASSUMPTION_CHECKS)) {
    expect([beginning, behaviours.filter((text) => text.startsWith(beginning)).length]).toEqual([beginning, 1]);
  }
  expect(Object.keys(ASSUMPTION_CHECKS)).toHaveLength(behaviours.length);
});

/** What AWS IoT says about a device, and that its policy refuses nothing. */
const CONTACT = {
  connection: {
    state: 'connected',
    since: '2026-03-02T11:00:00.000Z',
    reason: null,
    topics: ['paku/edge/ESP32-1/cmd/ota'] as string[],
    text: 'connected for 60 min',
  },
  refusals: null,
} as const;

describe('an assumption about AWS', () => {
  const nothing: Evidence = {
    device: null,
    release: null,
    update: null,
    direct: { kind: 'denied', message: 'AccessDenied: no' },
    databaseSkewSeconds: null,
  };
  const outcomes = (evidence: Evidence | 'imitated') => readAssumptions(evidence).map(({ outcome }) => outcome);
  const about = (evidence: Evidence, word: string) =>
    readAssumptions(evidence).find(({ check }) => check.includes(word))?.outcome;

  test('is reported as imitated on a local system', () => {
    expect(new Set(outcomes('imitated'))).toEqual(new Set(['imitated']));
    expect(outcomes('imitated')).toHaveLength(readBehaviours(DOCUMENT).length);
  });

  test('is reported as not tested without evidence', () => {
    expect(new Set(outcomes(nothing))).toEqual(new Set(['not tested']));
  });

  test('passes by the evidence of a working deployment', () => {
    const evidence: Evidence = {
      device: {
        ...CONTACT,
        device_id: 'ESP32-1',
        client_id: 'ESP32-1',
        last_seen: '2026-03-02T12:00:00.000Z',
      } as DeviceDetail,
      release: {
        ...{ device_model: 'esp32-s3', version: '2.1.0', requested_by: 'arn:aws:iam::111122223333:user/anna' },
        ...{ put_by: '111122223333', put_from: '203.0.113.7' },
      } as ReleaseDetail,
      update: { device_id: 'ESP32-1', firmware_version: '2.1.0' } as DeviceUpdate,
      direct: { kind: 'absent' },
      databaseSkewSeconds: 0.4,
    };
    expect(outcomes(evidence)).not.toContain('fail');
    expect(about(evidence, '`timestamp()`')).toBe('pass');
    expect(about(evidence, '`GetConnection`')).toBe('pass');
    expect(about(evidence, '`ListSubscriptions`')).toBe('pass');
    expect(about(evidence, 'reaches a client')).toBe('partly');
    expect(about(evidence, 'default endpoint')).toBe('pass');
    expect(about(evidence, 'Object Created')).toBe('pass');
    expect(about(evidence, '`requester`')).toBe('pass');
    expect(about(evidence, 'presigned PUT')).toBe('partly');
    expect(about(evidence, 'paused cluster')).toBe('not tested');
  });

  test('fails when the evidence contradicts it', () => {
    const evidence: Evidence = {
      ...nothing,
      device: {
        ...CONTACT,
        device_id: 'ESP32-1',
        client_id: null,
        last_seen: '2026-03-02T12:00:00.000Z',
      } as DeviceDetail,
      direct: { kind: 'other', message: 'accepted' },
      databaseSkewSeconds: 3600,
    };
    expect(about(evidence, '`timestamp()`')).toBe('fail');
    expect(about(evidence, 'reaches a client')).toBe('fail');
    expect(about(evidence, '`timestamptz`')).toBe('fail');
  });
});

test('the clock check fails only for a difference that invalidates signatures', () => {
  expect(checkClock(0.7)).toMatchObject({ outcome: 'pass', detail: 'this machine and the API agree' });
  expect(checkClock(-40)).toMatchObject({ outcome: 'pass', detail: 'this machine is 40 s behind the API' });
  expect(checkClock(600)).toMatchObject({
    outcome: 'fail',
    detail: expect.stringContaining('10 min ahead of the API'),
  });
  expect(checkClock(null)).toMatchObject({ outcome: 'not tested' });
});

test('the schema check says which side to update', () => {
  expect(checkSchema(3, 3, 'service 1', 'npm run deploy')).toMatchObject({ outcome: 'pass' });
  expect(checkSchema(2, 3, 'service 1', 'npm run deploy').detail).toContain('npm run deploy');
  expect(checkSchema(4, 3, 'service 1', 'npm run deploy').detail).toContain('this paku-ota is older');
});

describe('the bucket check', () => {
  const s3 = mockClient(S3Client);

  test('requires versioning and events of uploads', async () => {
    s3.on(GetBucketVersioningCommand, { Bucket: 'the-bucket' }).resolves({ Status: 'Enabled' });
    s3.on(GetBucketNotificationConfigurationCommand).resolves({ EventBridgeConfiguration: {} });
    expect(await checkBucket(target)).toMatchObject({ outcome: 'pass' });
    s3.on(GetBucketNotificationConfigurationCommand).resolves({});
    expect(await checkBucket(target)).toMatchObject({
      outcome: 'fail',
      detail: expect.stringContaining('EventBridge'),
    });
  });

  test('is not tested when IAM denies it', async () => {
    s3.on(GetBucketVersioningCommand).rejects(Object.assign(new Error('no'), { name: 'AccessDenied' }));
    s3.on(GetBucketNotificationConfigurationCommand).resolves({});
    expect(await checkBucket(target)).toMatchObject({
      outcome: 'not tested',
      detail: 'your identity may not look: no',
    });
  });
});

describe('the message to an absent client', () => {
  const iot = mockClient(IoTDataPlaneClient);

  test('names a client id that no device has, for which 404 is expected', async () => {
    iot.on(SendDirectMessageCommand).rejects(new ResourceNotFoundException({ $metadata: {}, message: 'gone' }));
    expect(await sendToAbsentClient(target, 'vans')).toEqual({ kind: 'absent' });
    const { clientId, topic } = iot.commandCalls(SendDirectMessageCommand)[0]?.args[0].input ?? {};
    expect(clientId).toMatch(/^paku-ota-doctor-/);
    expect(topic).toBe(`vans/devices/${clientId}/cmd/ota`);
  });

  test('distinguishes acceptance from a denial by IAM', async () => {
    iot.on(SendDirectMessageCommand).resolves({});
    expect(await sendToAbsentClient(target, 'paku')).toMatchObject({ kind: 'other' });
    iot.on(SendDirectMessageCommand).rejects(Object.assign(new Error('no'), { name: 'ForbiddenException' }));
    expect(await sendToAbsentClient(target, 'paku')).toMatchObject({
      kind: 'denied',
      message: 'ForbiddenException: no',
    });
  });
});
