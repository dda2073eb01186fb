import type { DeviceIdentity } from './device-identity.ts';

/**
 * Body of the provisioning template: the same thing, group, policy and certificate that `device add` creates. A template
 * cannot make the certificate exclusive to its thing, but the policy lets the certificate act as no other thing.
 */
export function thingTemplate({ policy, thingType, thingGroup }: DeviceIdentity): object {
  return {
    Parameters: { DeviceId: { Type: 'String' }, 'AWS::IoT::Certificate::Id': { Type: 'String' } },
    Resources: {
      thing: {
        Type: 'AWS::IoT::Thing',
        Properties: {
          ThingName: { Ref: 'DeviceId' },
          ThingTypeName: thingType.ref,
          ThingGroups: [thingGroup.ref],
        },
        // A device that is provisioned again keeps its thing, and the groups that operators added it to.
        OverrideSettings: { AttributePayload: 'MERGE', ThingTypeName: 'DO_NOTHING', ThingGroups: 'DO_NOTHING' },
      },
      certificate: {
        Type: 'AWS::IoT::Certificate',
        Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
      },
      policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: policy.ref } },
    },
  };
}
