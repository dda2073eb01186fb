import { CfnPolicy, CfnThingGroup, CfnThingType } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';
import type { Settings } from '../settings/index.ts';
import { grantIotWildcards, iotArn, type OtaFunction } from '../shared/index.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: an IoT policy variable, which AWS fills in
const THING = '${iot:Connection.Thing.ThingName}';

/**
 * What a device may do with its certificate: connect as itself, publish and subscribe in its own two subtrees of
 * topics, and retain its status. Firmware uses more topics of these subtrees than this service, and AWS closes the
 * connection of a client that publishes elsewhere.
 */
export class DeviceIdentity extends Construct {
  readonly policy: CfnPolicy;
  readonly thingType: CfnThingType;
  /** Contains all devices of the deployment, for views in AWS IoT. */
  readonly thingGroup: CfnThingGroup;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    this.policy = new CfnPolicy(this, 'Policy', { policyDocument: this.policyDocument(settings) });
    this.thingType = new CfnThingType(this, 'ThingType', {
      thingTypeProperties: { thingTypeDescription: 'An ESP32 or ESP8266 that paku-ota updates' },
    });
    this.thingGroup = new CfnThingGroup(this, 'ThingGroup');
  }

  /**
   * Lets a function revoke the certificates of a device and close its connection. IAM cannot tell devices from other
   * things.
   */
  grantRevoke({ role }: OtaFunction): void {
    const actions = {
      thing: ['iot:DescribeThing', 'iot:ListThingPrincipals'],
      cert: ['iot:UpdateCertificate'],
      client: ['iot:DeleteConnection'],
    };
    for (const [resource, names] of Object.entries(actions)) {
      grantIotWildcards(role, {
        actions: names,
        resources: [[resource, '*']],
        reason:
          'Any device may be revoked; the function asks first whether it is one of ours, and sets no other status.',
      });
    }
  }

  private policyDocument({ topicPrefix: prefix, extraDeviceTopics }: Settings): object {
    const own = [`${prefix}/edge/${THING}/*`, `${prefix}/devices/${THING}/*`];
    const extra = extraDeviceTopics.map((topic) => topic.replaceAll('{deviceId}', THING));
    const arns = (resource: string) => [...own, ...extra].map((name) => iotArn(this, resource, name));
    return {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: 'iot:Connect', Resource: iotArn(this, 'client', THING) },
        { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: arns('topic') },
        {
          Effect: 'Allow',
          Action: 'iot:RetainPublish',
          Resource: iotArn(this, 'topic', `${prefix}/edge/${THING}/status`),
        },
        { Effect: 'Allow', Action: 'iot:Subscribe', Resource: arns('topicfilter') },
      ],
    };
  }
}
