import { expect, test } from 'vitest';
import { parseSettings } from '../../lib/settings.ts';

test('nothing needs to be set', () => {
  expect(parseSettings(undefined)).toMatchObject({
    topicPrefix: 'paku',
    commandTransport: 'direct',
    database: { minCapacity: 0, maxCapacity: 2 },
  });
});

test.each([
  [{ topicprefix: 'x' }, 'topicprefix'],
  [{ topicPrefix: 'a/b' }, 'topicPrefix: expected 1 to 32'],
  [{ commandTransport: 'carrier-pigeon' }, 'commandTransport'],
  [{ database: { minCapacity: 0.3 } }, 'database.minCapacity'],
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

test('names so long that the worst command would not fit 256 bytes are refused, with the bytes', () => {
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
