import { Arn, ArnFormat, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnPolicy, CfnProvisioningTemplate } from 'aws-cdk-lib/aws-iot';
import { CfnPermission } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledge.ts';
import type { DeviceIdentity } from './device-identity.ts';
import type { OtaFunction } from './ota-function.ts';

/**
 * What AWS IoT does in the name of the role for one device. A subset of its managed policy AWSIoTThingsRegistration, which
 * may also make policies, and take things and policies away.
 */
const REGISTRATION = {
  thing: [
    'iot:AddThingToThingGroup',
    'iot:AttachThingPrincipal',
    'iot:CreateThing',
    'iot:DescribeThing',
    'iot:ListThingGroupsForThing',
    'iot:ListThingPrincipals',
    'iot:UpdateThing',
  ],
  cert: [
    'iot:AttachPolicy',
    'iot:AttachPrincipalPolicy',
    'iot:DescribeCertificate',
    'iot:ListAttachedPolicies',
    'iot:ListPrincipalPolicies',
    'iot:ListPrincipalThings',
    'iot:UpdateCertificate',
  ],
} as const;

export interface ProvisioningProps {
  readonly identity: DeviceIdentity;
  /** Says which device may be provisioned. */
  readonly hook: OtaFunction;
}

/**
 * Fleet provisioning by provisioning claim: a device that has but a claim certificate asks for one of its own. The claim
 * may do nothing else, and is worth nothing for a device that is not on the list of allowed ones.
 */
export class Provisioning extends Construct {
  readonly template: CfnProvisioningTemplate;
  readonly claimPolicy: CfnPolicy;

  constructor(scope: Construct, id: string, { identity, hook }: ProvisioningProps) {
    super(scope, id);
    // A name of ours, since the policies and the permission speak of the template before it is there.
    const templateName = `${Stack.of(this).stackName}-devices`;
    const templateArn = this.arn('provisioningtemplate', templateName);
    const permission = new CfnPermission(this, 'HookPermission', {
      action: 'lambda:InvokeFunction',
      functionName: hook.functionArn,
      principal: 'iot.amazonaws.com',
      sourceAccount: Stack.of(this).account,
      sourceArn: templateArn,
    });
    this.template = new CfnProvisioningTemplate(this, 'Template', {
      templateName,
      description: 'Gives an allowed device a certificate of its own',
      enabled: true,
      provisioningRoleArn: this.role(identity).roleArn,
      preProvisioningHook: { payloadVersion: '2020-04-01', targetArn: hook.functionArn },
      templateBody: Stack.of(this).toJsonString(templateBody(identity)),
    });
    this.template.addDependency(permission);
    this.claimPolicy = new CfnPolicy(this, 'ClaimPolicy', { policyDocument: this.claimDocument(templateName) });
  }

  /** The topics of the two calls and their answers, one by one (IoT developer guide, "Device provisioning MQTT API"). */
  private claimDocument(templateName: string): object {
    const calls = [
      '$aws/certificates/create/json',
      '$aws/certificates/create-from-csr/json',
      `$aws/provisioning-templates/${templateName}/provision/json`,
    ];
    const answers = calls.flatMap((call) => [`${call}/accepted`, `${call}/rejected`]);
    const allow = (Action: string, resource: string, names: readonly string[]) => ({
      Effect: 'Allow',
      Action,
      Resource: names.map((name) => this.arn(resource, name)),
    });
    return {
      Version: '2012-10-17',
      Statement: [
        // Many devices share a claim: each connects by its id, behind a word that no device's own id begins with.
        allow('iot:Connect', 'client', ['claim/*']),
        allow('iot:Publish', 'topic', calls),
        allow('iot:Receive', 'topic', answers),
        allow('iot:Subscribe', 'topicfilter', answers),
      ],
    };
  }

  private role({ policy, thingType, thingGroup }: DeviceIdentity): Role {
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('iot.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    });
    for (const [kind, actions] of Object.entries(REGISTRATION)) {
      role.addToPolicy(new PolicyStatement({ actions: [...actions], resources: [this.arn(kind, '*')] }));
      acknowledgeWildcard(
        role,
        `arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:${kind}/*`,
        'AWS IoT names certificates, and devices their things, when they are provisioned.',
      );
    }
    role.addToPolicy(
      new PolicyStatement({
        actions: ['iot:AddThingToThingGroup', 'iot:DescribeThingGroup'],
        resources: [this.arn('thinggroup', thingGroup.ref)],
      }),
    );
    role.addToPolicy(
      new PolicyStatement({ actions: ['iot:DescribeThingType'], resources: [this.arn('thingtype', thingType.ref)] }),
    );
    role.addToPolicy(new PolicyStatement({ actions: ['iot:GetPolicy'], resources: [this.arn('policy', policy.ref)] }));
    return role;
  }

  private arn(resource: string, resourceName: string): string {
    const arnFormat = ArnFormat.SLASH_RESOURCE_NAME;
    return Arn.format({ service: 'iot', resource, resourceName, arnFormat }, Stack.of(this));
  }
}

/** What `device add` makes too. That the certificate is its thing's alone cannot be said here; its policy lets it act as no other. */
function templateBody({ policy, thingType, thingGroup }: DeviceIdentity): object {
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
        // A device that is provisioned anew keeps its thing and the groups that operators gave it.
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
