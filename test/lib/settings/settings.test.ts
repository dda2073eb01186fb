import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseSettings, signingSettings } from '../../../lib/settings/index.ts';

test('every setting has a default', () => {
  expect(parseSettings(undefined)).toMatchObject({
    topicPrefix: 'paku',
    commandTransport: 'direct',
    identityChanges: 'hold',
    requireApproval: false,
    database: { minCapacity: 0, maxCapacity: 2 },
  });
});

test.each([
  [{ topicprefix: 'x' }, 'topicprefix'],
  [{ topicPrefix: 'a/b' }, 'topicPrefix: expected 1 to 32'],
  [{ commandTransport: 'carrier-pigeon' }, 'commandTransport'],
  [{ identityChanges: 'ignore' }, 'identityChanges'],
  [{ defaultModel: ' ' }, 'defaultModel'],
  [{ requireApproval: 'yes' }, 'requireApproval'],
  [{ requireApprovals: true }, 'requireApprovals'],
  [{ database: { minCapacity: 0.3 } }, 'database.minCapacity'],
  [{ database: { minCapacity: 4 } }, 'database.minCapacity: it is above maxCapacity'],
  [{ database: { engineVersion: '17' } }, 'database.engineVersion: expected a version of Aurora PostgreSQL'],
  [{ name: 'a'.repeat(29), topicPrefix: 'test' }, 'name: expected 1 to 28'],
  [{ name: 'my_fleet', topicPrefix: 'test' }, 'name: expected 1 to 28'],
  [{ name: 'PakuOtaData', topicPrefix: 'test' }, 'name: it ends in Data'],
  [{ name: 'Test' }, 'topicPrefix: the deployment Test must state it'],
  [{ database: { allowedSecurityGroupId: 'grafana' } }, 'database.allowedSecurityGroupId'],
  [{ scheduleMinutes: 0 }, 'scheduleMinutes'],
  [
    { models: { van: { delivery: 'presigned' } } },
    'models.van.delivery: "presigned" needs packetLimitBytes of at least 4096',
  ],
  [{ models: { van: { chipp: 'ESP32' } } }, 'models.van'],
  [{ alarmEmail: 'nobody' }, 'alarmEmail'],
  [{ vpc: { vpcId: 'vpc-1', availabilityZones: ['a'], isolatedSubnetIds: ['subnet-1'] } }, 'vpc.availabilityZones'],
])('%j is refused, and the error names the setting', (settings, message) => {
  expect(() => parseSettings(settings)).toThrow(message);
});

test('a topic prefix and a domain name are refused if the longest command would not fit the packet limit of a model', () => {
  expect(() => parseSettings({ topicPrefix: 'our-company-vans' })).toThrow(
    /packet of \d+ bytes, model "default" takes 256/,
  );
  const customDomain = {
    domainName: `${'firmware.'.repeat(8)}example.com`,
    certificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x',
  };
  expect(() => parseSettings({ customDomain })).toThrow('shorten topicPrefix or customDomain.domainName');
  const ownName = { domainName: 'ota.example.com', certificateArn: customDomain.certificateArn };
  expect(parseSettings({ topicPrefix: 'our-company-vans', customDomain: ownName }).topicPrefix).toBe(
    'our-company-vans',
  );
});

describe('the topics that devices use beside their own', () => {
  const parse = (topic: string, allow: readonly string[] = ['subscribe'], rest: object = {}) =>
    parseSettings({ extraDeviceTopics: [{ topic, allow }], ...rest }).extraDeviceTopics;

  test.each([
    '{prefix}/control',
    '{prefix}/sensors/*',
    '{prefix}/heater/{deviceId}/cmd',
    'other/edge/*',
    'pakuX/edge/van-1/status',
    '{prefix}/edge/{deviceId}/more',
    '{prefix}/sensors/?/data',
    '$aws/rules/PakuOtaIngestion/{prefix}/edge/{deviceId}/*',
  ])('%s is taken', (topic) => {
    expect(parse(topic)).toEqual([{ topic, allow: ['subscribe'] }]);
  });

  test.each([
    ['paku/sensors/#', 'extraDeviceTopics.0.topic: "paku/sensors/#" has a wildcard of MQTT'],
    ['paku/+/data', 'has a wildcard of MQTT, which an IoT policy takes literally: write *'],
    ['paku/{device}/x', 'a placeholder that is not known: expected {prefix} or {deviceId}'],
    ['paku/$' + '{iot:ClientId}/x', 'a placeholder that is not known'],
    ['paku/{deviceId', 'a placeholder that is not known'],
    ['paku/"x"', 'has a character'],
    ['paku/a b', 'has a character'],
    ['', 'extraDeviceTopics.0.topic'],
    ['x'.repeat(129), 'extraDeviceTopics.0.topic'],
  ])('%s is refused, and the error says why', (topic, message) => {
    expect(() => parse(topic)).toThrow(message);
  });

  test.each([
    '*',
    '{prefix}/*',
    '{prefix}/edge/*',
    '{prefix}/edge/*/status',
    '{prefix}/edge/van-1/status',
    '{prefix}/devices/?*/cmd/ota',
    '{prefix}/devices/{deviceId}*/cmd/ota',
    '{prefix}/devices/*{deviceId}/cmd/ota',
    '{prefix}/devices/?{deviceId}/cmd/ota',
    '*/cmd/ota',
    '{prefix}/e*/status',
    '{prefix}/*/{deviceId}/*',
    '$aws/*',
    '$aws/rules/*/{prefix}/edge/{deviceId}/*',
    '$aws/rules/PakuOtaIngestion/{prefix}/edge/*',
  ])('%s is refused, because a device could act as another one or read its commands', (topic) => {
    expect(() => parse(topic)).toThrow(/includes topics of other devices, under paku\/edge\/ or paku\/devices\//);
  });

  test('are checked under the prefix of the deployment', () => {
    expect(() => parse('vans/edge/*', ['publish'], { topicPrefix: 'vans' })).toThrow('topics of other devices');
    expect(parse('vans/edge/*')).toHaveLength(1);
  });

  test('need at least one permission, and only known ones', () => {
    expect(() => parse('{prefix}/x', [])).toThrow('extraDeviceTopics.0.allow');
    expect(() => parse('{prefix}/x', ['receive'])).toThrow('extraDeviceTopics.0.allow.0');
    expect(() => parseSettings({ extraDeviceTopics: ['paku/x'] })).toThrow('extraDeviceTopics.0');
  });
});

describe('signing settings', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const digest = 'AB'.repeat(32);

  test('trust no key and require no signature by default', () => {
    expect(JSON.parse(signingSettings(parseSettings({})))).toEqual({
      requireSignedFirmware: false,
      trustedKeyDigests: [],
      trustedPublicKeys: [],
      allowLowerSecureVersion: false,
    });
  });

  test('can be given for the deployment and for a single model', () => {
    const settings = parseSettings({
      requireSignedFirmware: true,
      trustedKeyDigests: [digest],
      models: { van: { trustedPublicKeys: [pem] } },
    });
    expect(settings.trustedKeyDigests).toEqual([digest.toLowerCase()]);
    expect(settings.models.van).toMatchObject({ trustedPublicKeys: [pem] });
  });

  test.each([
    [{ trustedKeyDigests: ['abcd'] }, 'trustedKeyDigests.0: expected the SHA-256 of a secure boot key, 64 hex digits'],
    [{ trustedPublicKeys: ['release.pem'] }, 'trustedPublicKeys.0: expected one P-256 or Ed25519 public key in PEM'],
    [{ requireSignedFirmware: true }, '- requireSignedFirmware: no key is trusted'],
    [{ models: { van: { requireSignedFirmware: true } } }, '- models.van.requireSignedFirmware: no key is trusted'],
    [
      { requireSignedFirmware: true, trustedKeyDigests: [digest], models: { van: { trustedKeyDigests: [] } } },
      '- models.van.requireSignedFirmware: no key is trusted',
    ],
    [{ trustedKeyDigests: Array(32).fill(digest) }, 'the environment of a function has room for 2048'],
  ])('%j is refused, and the error names the setting', (settings, message) => {
    expect(() => parseSettings(settings)).toThrow(message);
  });

  test('refuse a private key, and the error does not contain it', () => {
    const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const parse = () => parseSettings({ models: { van: { trustedPublicKeys: [secret] } } });
    expect(parse).toThrow('models.van.trustedPublicKeys.0: this is a private key');
    expect(parse).not.toThrow(secret.split('\n')[1] ?? '');
  });
});
