import { describe, expect, test } from 'vitest';
import { compilePolicy } from '../../../local/kernel/index.ts';
import { propertiesOf, resources, synthesize } from '../../support/lib/templates.ts';

const { serviceTemplate } = synthesize();

/** A value of a template with its intrinsic functions resolved, as CloudFormation would. */
const resolved = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, each: unknown) => {
      const { Ref, 'Fn::Join': join, 'Fn::GetAtt': att } = (each ?? {}) as Record<string, [string, unknown[]]>;
      if (join !== undefined) return (resolved(join[1]) as unknown[]).join(join[0]);
      if (att !== undefined) return `arn-of-${att[0]}`;
      return Ref === undefined
        ? each
        : ({ 'AWS::Partition': 'aws', 'AWS::Region': 'eu-west-1', 'AWS::AccountId': '1' }[String(Ref)] ?? Ref);
    }),
  );

const [[, template] = []] = resources(serviceTemplate, 'AWS::IoT::ProvisioningTemplate');
const properties = resolved(template?.Properties) as Record<string, unknown>;
const body = JSON.parse(String(properties.TemplateBody)) as { Parameters: object; Resources: Record<string, object> };
const [claimDocument] = resources(serviceTemplate, 'AWS::IoT::Policy')
  .filter(([id]) => id.startsWith('ProvisioningClaimPolicy'))
  .map(([, { Properties }]) => resolved(Properties.PolicyDocument));
const claim = compilePolicy('the claim', [claimDocument]);
const mayClaim = (action: string, resource: string) => claim.allows(action, `arn:aws:iot:eu-west-1:1:${resource}`);

describe('a provisioning claim', () => {
  const PROVISION = '$aws/provisioning-templates/PakuOta-devices/provision/json';

  test('can make the two calls of provisioning and receive their answers', () => {
    expect(mayClaim('iot:Connect', 'client/claim/ESP32-1')).toBe(true);
    for (const topic of ['$aws/certificates/create/json', '$aws/certificates/create-from-csr/json', PROVISION]) {
      expect(mayClaim('iot:Publish', `topic/${topic}`)).toBe(true);
      for (const answer of ['accepted', 'rejected']) {
        expect(mayClaim('iot:Subscribe', `topicfilter/${topic}/${answer}`)).toBe(true);
        expect(mayClaim('iot:Receive', `topic/${topic}/${answer}`)).toBe(true);
      }
    }
  });

  test.each([
    ['iot:Connect', 'client/ESP32-1'],
    ['iot:Connect', 'client/*'],
    ['iot:Connect', 'client/claim'],
    ['iot:Publish', 'topic/paku/edge/ESP32-1/status'],
    ['iot:Publish', 'topic/paku/edge/claim/ESP32-1/status'],
    ['iot:Publish', 'topic/$aws/provisioning-templates/other/provision/json'],
    ['iot:Publish', 'topic/$aws/certificates/create/json/accepted'],
    ['iot:Publish', 'topic/$aws/things/ESP32-1/shadow/update'],
    ['iot:RetainPublish', `topic/${PROVISION}`],
    ['iot:Subscribe', 'topicfilter/#'],
    ['iot:Subscribe', 'topicfilter/$aws/#'],
    ['iot:Subscribe', 'topicfilter/$aws/certificates/#'],
    ['iot:Subscribe', 'topicfilter/$aws/certificates/create/+'],
    ['iot:Subscribe', 'topicfilter/$aws/provisioning-templates/+/provision/json/accepted'],
    ['iot:Subscribe', 'topicfilter/paku/#'],
    ['iot:Receive', 'topic/paku/devices/ESP32-1/cmd/ota'],
  ])('cannot %s on %s', (action, resource) => {
    expect(mayClaim(action, resource)).toBe(false);
  });

  test('has a policy that is short enough for AWS', () => {
    expect(JSON.stringify(claimDocument).length).toBeLessThan(2_048);
  });
});

describe('the provisioning template', () => {
  test('has the same body with other settings: each change takes one of the five versions that AWS keeps', () => {
    const settings = { topicPrefix: 'fleet', extraDeviceTopics: [], requireApproval: true, defaultModel: 'van' };
    const bodyOf = (template: typeof serviceTemplate) =>
      propertiesOf(template, 'AWS::IoT::ProvisioningTemplate').map(({ TemplateBody }) => TemplateBody);
    expect(bodyOf(synthesize(settings).serviceTemplate)).toEqual(bodyOf(serviceTemplate));
  });

  test('gives a device its thing, the group, the policy and an active certificate', () => {
    expect(properties).toMatchObject({ TemplateName: 'PakuOta-devices', Enabled: true });
    expect(body).toEqual({
      Parameters: { DeviceId: { Type: 'String' }, 'AWS::IoT::Certificate::Id': { Type: 'String' } },
      Resources: {
        thing: {
          Type: 'AWS::IoT::Thing',
          Properties: {
            ThingName: { Ref: 'DeviceId' },
            ThingTypeName: expect.stringContaining('DeviceIdentityThingType'),
            ThingGroups: [expect.stringContaining('DeviceIdentityThingGroup')],
          },
          OverrideSettings: { AttributePayload: 'MERGE', ThingTypeName: 'DO_NOTHING', ThingGroups: 'DO_NOTHING' },
        },
        certificate: {
          Type: 'AWS::IoT::Certificate',
          Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
        },
        policy: {
          Type: 'AWS::IoT::Policy',
          Properties: { PolicyName: expect.stringMatching(/^DeviceIdentityPolicy/) },
        },
      },
    });
    expect(String(properties.TemplateBody).length).toBeLessThan(10_240);
  });

  test('asks its hook first, and is the only caller from AWS IoT that may invoke the hook', () => {
    const { TargetArn } = properties.PreProvisioningHook as { TargetArn: string };
    expect(TargetArn).toMatch(/^arn-of-ProvisioningHook/);
    const permissions = resources(serviceTemplate, 'AWS::Lambda::Permission').filter(
      ([, { Properties }]) => Properties.Principal === 'iot.amazonaws.com',
    );
    expect(permissions).toHaveLength(1);
    const [[id, permission] = []] = permissions;
    expect(resolved(permission?.Properties)).toMatchObject({
      FunctionName: TargetArn,
      SourceAccount: '1',
      SourceArn: 'arn:aws:iot:eu-west-1:1:provisioningtemplate/PakuOta-devices',
    });
    expect(template?.DependsOn).toContain(id);
  });

  test('has a hook that times out no later than AWS IoT does', () => {
    const [hook] = resources(serviceTemplate, 'AWS::Lambda::Function').filter(([id]) => /^ProvisioningHook/.test(id));
    expect(hook?.[1].Properties.Timeout).toBeLessThanOrEqual(5);
  });

  test('registers things and certificates in this account only, and cannot create or change a policy', () => {
    const statements = resources(serviceTemplate, 'AWS::IAM::Policy')
      .filter(([id]) => id.startsWith('ProvisioningRole'))
      .flatMap(([, { Properties }]) => (Properties.PolicyDocument as { Statement: object[] }).Statement);
    const role = compilePolicy('the role', [{ Version: '2012-10-17', Statement: resolved(statements) }]);
    const may = (action: string, resource: string) => role.allows(action, `arn:aws:iot:eu-west-1:1:${resource}`);
    expect(may('iot:CreateThing', 'thing/ESP32-1')).toBe(true);
    expect(may('iot:UpdateCertificate', 'cert/abc')).toBe(true);
    expect(may('iot:AttachPolicy', 'cert/abc')).toBe(true);
    expect(may('iot:AttachThingPrincipal', 'cert/abc')).toBe(true);
    expect(role.allows('iot:ListAttachedPolicies', '*')).toBe(true);
    for (const action of ['CreatePolicy', 'CreatePolicyVersion', 'DeletePolicy', 'DeleteThing', 'DetachPolicy']) {
      for (const resource of ['policy/any', 'thing/ESP32-1', 'cert/abc'])
        expect(may(`iot:${action}`, resource)).toBe(false);
    }
    expect(role.allows('iot:CreateThing', 'arn:aws:iot:eu-west-1:2:thing/ESP32-1')).toBe(false);
  });
});
