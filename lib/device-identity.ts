import { Arn, ArnFormat, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { CfnPolicy, CfnThingGroup, CfnThingType } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledge.ts';
import type { OtaFunction } from './ota-function.ts';
import type { Settings } from './settings.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: an IoT policy variable, which AWS fills in
const THING = '${iot:Connection.Thing.ThingName}';

/**
 * What a device may do with its certificate: connect as itself, use its own two subtrees of topics (firmware uses more of
 * them than this service does, and AWS closes the connection of a client that goes elsewhere), retain its status.
 */
export class DeviceIdentity extends Construct {
  readonly policy: CfnPolicy;
  readonly thingType: CfnThingType;
  /** All devices of the deployment, for whoever looks at them in AWS IoT. */
  readonly thingGroup: CfnThingGroup;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    const { topicPrefix: prefix } = settings;
    const own = [`${prefix}/edge/${THING}/*`, `${prefix}/devices/${THING}/*`];
    const extra = settings.extraDeviceTopics.map((topic) => topic.replaceAll('{deviceId}', THING));
    const topics = [...own, ...extra];
    const arns = (resource: string, names: string[]) => names.map((name) => this.arn(resource, name));
    this.policy = new CfnPolicy(this, 'Policy', {
      policyDocument: {
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Action: 'iot:Connect', Resource: this.arn('client', THING) },
          { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: arns('topic', topics) },
          {
            Effect: 'Allow',
            Action: 'iot:RetainPublish',
            Resource: this.arn('topic', `${prefix}/edge/${THING}/status`),
          },
          { Effect: 'Allow', Action: 'iot:Subscribe', Resource: arns('topicfilter', topics) },
        ],
      },
    });
    this.thingType = new CfnThingType(this, 'ThingType', {
      thingTypeProperties: { thingTypeDescription: 'An ESP32 or ESP8266 that paku-ota updates' },
    });
    this.thingGroup = new CfnThingGroup(this, 'ThingGroup');
  }

  /** Lets a function revoke the certificates of a device and end its connection. IAM cannot tell our devices from other things. */
  grantRevoke(fn: OtaFunction): void {
    const actions = {
      thing: ['iot:DescribeThing', 'iot:ListThingPrincipals'],
      cert: ['iot:UpdateCertificate'],
      client: ['iot:DeleteConnection'],
    };
    for (const [resource, names] of Object.entries(actions)) {
      fn.addToRolePolicy(new PolicyStatement({ actions: names, resources: [this.arn(resource, '*')] }));
      const arn = `arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:${resource}/*`;
      acknowledgeWildcard(
        fn.role ?? fn,
        arn,
        'Any device may be revoked; the function asks first whether it is one of ours, and sets no other status.',
      );
    }
  }

  private arn(resource: string, resourceName: string): string {
    const arnFormat = ArnFormat.SLASH_RESOURCE_NAME;
    return Arn.format({ service: 'iot', resource, resourceName, arnFormat }, Stack.of(this));
  }
}
