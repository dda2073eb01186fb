import { expect, test } from 'vitest';
import { grantsOf } from '../../support/lib/rendered-grants.ts';
import { problemsOf } from '../../support/lib/service-authorization.ts';
import { synthesize } from '../../support/lib/templates.ts';

const OTHER_SETTINGS = {
  commandTransport: 'publish',
  requireApproval: true,
  alarmEmail: 'fleet@example.com',
  models: { van: { delivery: 'presigned', packetLimitBytes: 8192 } },
  dataRemovalPolicy: 'destroy',
  database: { allowedSecurityGroupId: 'sg-0123456789abcdef0' },
};

test.each([
  ['the default settings', {}],
  ['other settings', OTHER_SETTINGS],
])('each statement with %s names actions, resource types and condition keys of the reference', async (_, settings) => {
  const grants = grantsOf(synthesize(settings));
  expect(grants.length).toBeGreaterThan(150);
  const problems = grants.map(async ({ policy, action, resource, conditionKeys }) =>
    (await problemsOf(action, resource, conditionKeys)).map((problem) => `${policy}: ${problem}`),
  );
  expect((await Promise.all(problems)).flat()).toEqual([]);
});

const arn = (rest: string) => `arn:aws:iot:eu-west-1:123456789012:${rest}`;

test.each([
  ['iot:AttachThingPrincipal', arn('thing/*'), [], /takes .*:cert\//],
  ['iot:ListPrincipalPolicies', arn('cert/*'), [], /takes \*$/],
  ['iot:SendDirectMessage', arn('topic/paku/*'), [], /takes .*:client\//],
  ['iot:SendDirectMessages', arn('client/*'), [], /does not exist/],
  ['iot:SendDirectMessage', '*', [], /takes .*:client\//],
  ['iot:Publish', arn('topic/paku/*'), ['iot:Topic'], /no condition key iot:Topic/],
  ['s3:ListBucket', 'arn:aws:s3:::bucket/*', [], /takes .*:::\$\{BucketName\}$/],
])('%s on %s with the keys %j is refused', async (action, resource, keys, problem) => {
  expect(await problemsOf(action, resource, keys)).toEqual([expect.stringMatching(problem)]);
});
