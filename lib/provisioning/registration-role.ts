import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { acknowledgeWildcard, grantIotWildcards, iotArn } from '../shared/index.ts';
import type { DeviceIdentity } from './device-identity.ts';

/**
 * What AWS IoT does for a device with the role. It is a subset of the managed policy AWSIoTThingsRegistration, which may
 * also create policies, and remove things and policies. The resource types are those of the Service Authorization
 * Reference: a grant on another type allows nothing.
 */
const REGISTRATION = {
  thing: [
    'iot:AddThingToThingGroup',
    'iot:CreateThing',
    'iot:DescribeThing',
    'iot:ListThingGroupsForThing',
    'iot:ListThingPrincipals',
    'iot:UpdateThing',
  ],
  cert: [
    'iot:AttachPolicy',
    'iot:AttachPrincipalPolicy',
    'iot:AttachThingPrincipal',
    'iot:DescribeCertificate',
    'iot:ListPrincipalThings',
    'iot:UpdateCertificate',
  ],
} as const;

/** They take no resource (Service Authorization Reference). */
const ON_ANYTHING = ['iot:ListAttachedPolicies', 'iot:ListPrincipalPolicies'];

/** The role that AWS IoT registers a device with. */
export function registrationRole(scope: Construct, { policy, thingType, thingGroup }: DeviceIdentity): Role {
  const role = new Role(scope, 'Role', {
    assumedBy: new ServicePrincipal('iot.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } },
    }),
  });
  for (const [resource, actions] of Object.entries(REGISTRATION)) {
    grantIotWildcards(role, {
      actions,
      resources: [[resource, '*']],
      reason: 'AWS IoT names certificates, and devices their things, when they are provisioned.',
    });
  }
  role.addToPolicy(new PolicyStatement({ actions: ON_ANYTHING, resources: ['*'] }));
  acknowledgeWildcard(role, '*', 'AWS IoT lists policies of a certificate, for which IAM knows no resource.');
  const allow = (actions: string[], resource: string, name: string) =>
    role.addToPolicy(new PolicyStatement({ actions, resources: [iotArn(scope, resource, name)] }));
  allow(['iot:AddThingToThingGroup', 'iot:DescribeThingGroup'], 'thinggroup', thingGroup.ref);
  allow(['iot:DescribeThingType'], 'thingtype', thingType.ref);
  allow(['iot:GetPolicy'], 'policy', policy.ref);
  return role;
}
