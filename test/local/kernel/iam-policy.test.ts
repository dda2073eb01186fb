import { describe, expect, it } from 'vitest';
import { compilePolicy, type Grant } from '../../../local/kernel/iam-policy.ts';

const OBJECT = 'arn:aws:s3:::firmware/releases/abc.bin';

function policyOf(...statements: object[]) {
  return compilePolicy('Role', [{ Version: '2012-10-17', Statement: statements }]);
}

describe('a policy', () => {
  it('refuses an action that no statement allows', () => {
    expect(policyOf().allows('s3:GetObject', OBJECT)).toBe(false);
  });

  it('allows an action on a resource, by name or by wildcards', () => {
    const policy = policyOf({
      Effect: 'Allow',
      Action: ['s3:Get*', 'sqs:SendMessage'],
      Resource: 'arn:aws:s3:::firm*/?*',
    });
    expect(policy.allows('s3:GetObject', OBJECT)).toBe(true);
    expect(policy.allows('s3:PutObject', OBJECT)).toBe(false);
    expect(policy.allows('s3:GetObject', 'arn:aws:s3:::other/key')).toBe(false);
  });

  it('ignores the case of actions, but not of resources', () => {
    const policy = policyOf({ Effect: 'Allow', Action: 's3:getobject', Resource: OBJECT });
    expect(policy.allows('S3:GetObject', OBJECT)).toBe(true);
    expect(policy.allows('s3:GetObject', OBJECT.toUpperCase())).toBe(false);
  });

  it('treats dots and brackets of a resource as ordinary characters', () => {
    const policy = policyOf({ Effect: 'Allow', Action: '*', Resource: 'arn:aws:s3:::a.b[c]/*' });
    expect(policy.allows('s3:GetObject', 'arn:aws:s3:::a.b[c]/key\nwith a line')).toBe(true);
    expect(policy.allows('s3:GetObject', 'arn:aws:s3:::axbc/key')).toBe(false);
  });

  it('lets an explicit Deny win over every Allow', () => {
    const policy = policyOf(
      { Effect: 'Allow', Action: '*', Resource: '*' },
      { Effect: 'Deny', Action: 's3:DeleteObject', Resource: '*' },
    );
    expect(policy.allows('s3:GetObject', OBJECT)).toBe(true);
    expect(policy.allows('s3:DeleteObject', OBJECT)).toBe(false);
  });

  it('joins several documents', () => {
    const documents = ['s3:GetObject', 's3:PutObject'].map((Action) => ({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action, Resource: '*' }],
    }));
    const policy = compilePolicy('Role', documents);
    expect(policy.allows('s3:GetObject', OBJECT) && policy.allows('s3:PutObject', OBJECT)).toBe(true);
  });

  it('fills variables from the context, where a wildcard is an ordinary character', () => {
    const policy = policyOf({
      Effect: 'Allow',
      Action: 'iot:Publish',
      Resource: `topic/edge/\${iot:Connection.Thing.ThingName}/*`,
    });
    const publish = (resource: string, thing: string) =>
      policy.allows('iot:Publish', resource, { 'iot:Connection.Thing.ThingName': thing });
    expect(publish('topic/edge/ESP32-1/status', 'ESP32-1')).toBe(true);
    expect(publish('topic/edge/ESP32-2/status', 'ESP32-1')).toBe(false);
    expect(publish('topic/edge/ESP32-2/status', '*')).toBe(false);
    expect(policy.allows('iot:Publish', 'topic/edge//status')).toBe(false);
  });
});

describe('a condition of a statement', () => {
  const policy = policyOf({
    Effect: 'Allow',
    Action: 'iot:SendDirectMessage',
    Resource: 'client/*',
    Condition: { StringLike: { 'iot:Topic': ['edge/*/cmd', 'devices/*/cmd'] } },
  });

  it.each([
    [{ 'iot:Topic': 'edge/ESP32-1/cmd' }, true],
    [{ 'iot:Topic': 'devices/ESP32-1/cmd' }, true],
    [{ 'iot:Topic': 'edge/ESP32-1/status' }, false],
    [{ 'iot:Other': 'edge/ESP32-1/cmd' }, false],
    [{}, false],
  ])('with %j: %s', (context, isMet) => {
    expect(policy.allows('iot:SendDirectMessage', 'client/ESP32-1', context)).toBe(isMet);
  });
});

describe('the audit of a policy', () => {
  const documents = [
    {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject'], Resource: ['arn:aws:s3:::a/*', OBJECT] },
        { Effect: 'Deny', Action: 's3:PutObject', Resource: OBJECT },
      ],
    },
  ];
  const text = ({ principal, action, resource }: Grant) => `${principal} ${action} ${resource}`;

  it('observes each grant, and each evaluation with the grants that matched', () => {
    const told: string[] = [];
    const policy = compilePolicy('Role', documents, {
      grant: (grant) => told.push(text(grant)) > 0,
      evaluated: (call, allowed, by) => told.push(`${text(call)}: ${allowed} by ${by.length}`),
    });
    policy.allows('s3:GetObject', OBJECT);
    policy.allows('s3:PutObject', OBJECT);
    policy.allows('s3:DeleteObject', OBJECT);
    expect(told).toEqual([
      'Role s3:GetObject arn:aws:s3:::a/*',
      `Role s3:GetObject ${OBJECT}`,
      'Role s3:PutObject arn:aws:s3:::a/*',
      `Role s3:PutObject ${OBJECT}`,
      `Role s3:GetObject ${OBJECT}: true by 1`,
      `Role s3:PutObject ${OBJECT}: false by 2`,
      `Role s3:DeleteObject ${OBJECT}: false by 0`,
    ]);
  });

  it('can disable a grant, but not a Deny', () => {
    const policy = compilePolicy('Role', documents, { grant: ({ resource }) => resource !== OBJECT, evaluated() {} });
    expect(policy.allows('s3:GetObject', OBJECT)).toBe(false);
    expect(policy.allows('s3:GetObject', 'arn:aws:s3:::a/key')).toBe(true);
    expect(policy.allows('s3:PutObject', OBJECT)).toBe(false);
  });
});

describe('a policy document that is not supported', () => {
  it.each([
    ['an element', { Effect: 'Allow', NotAction: 's3:*', Resource: '*' }],
    [
      'a condition',
      { Effect: 'Allow', Action: '*', Resource: '*', Condition: { Bool: { 'aws:SecureTransport': 'true' } } },
    ],
    ['a misspelt effect', { Effect: 'allow', Action: '*', Resource: '*' }],
  ])('with %s is an error that quotes the statement', (_, statement) => {
    const correct = { Effect: 'Allow', Action: 's3:GetObject', Resource: '*' };
    expect(() => policyOf(correct, statement)).toThrow(/^Role: .*cannot be evaluated.*Statement\[1\]/s);
  });

  it('of an older policy version is an error', () => {
    expect(() => compilePolicy('Role', [{ Version: '2008-10-17', Statement: [] }])).toThrow('Version');
  });
});
