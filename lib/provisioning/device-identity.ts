import { type CfnResource, RemovalPolicy } from 'aws-cdk-lib';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import { type CfnPolicy, CfnThingGroup, CfnThingType } from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';
import { type DeviceTopic, deviceTopicName, type Settings } from '../settings/index.ts';
import { grantIotWildcards, type OtaFunction } from '../shared/index.ts';
import { type IotStatement, iotPolicy } from './iot-policy.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: an IoT policy variable, which AWS fills in
const THING = '${iot:Connection.Thing.ThingName}';

const SHORTEN =
  'shorten topicPrefix or the topics of extraDeviceTopics, remove some, or let one with * stand for several';

/**
 * Lets the stack be deleted while devices exist: CloudFormation's handlers neither detach a policy from certificates nor
 * delete a thing type that things have.
 */
export const keepWithDevices = (resource: CfnResource) =>
  resource.applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);

/**
 * What a device may do with its certificate: connect as itself, publish (also retained) and subscribe in its own two
 * subtrees of topics, except publish commands, and what `extraDeviceTopics` adds. Firmware uses more topics of these
 * subtrees than this service, and AWS closes the connection of a client that publishes or subscribes elsewhere.
 */
export class DeviceIdentity extends Construct {
  readonly policy: CfnPolicy;
  /** What the policy allows, in words, with `{deviceId}` for the device. */
  readonly allows: string;
  readonly thingType: CfnThingType;
  /** Contains all devices of the deployment, for views in AWS IoT. */
  readonly thingGroup: CfnThingGroup;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    this.policy = iotPolicy(this, 'Policy', statementsOf(settings), SHORTEN);
    this.allows = allowedText(settings);
    this.thingType = new CfnThingType(this, 'ThingType', {
      thingTypeProperties: { thingTypeDescription: 'An ESP32 or ESP8266 that paku-ota updates' },
    });
    this.thingGroup = new CfnThingGroup(this, 'ThingGroup');
    for (const resource of [this.policy, this.thingType, this.thingGroup]) keepWithDevices(resource);
  }

  /** Lets a function ask whether a device is connected, and what it listens on. */
  grantAskConnection({ role }: OtaFunction): void {
    grantIotWildcards(role, {
      actions: ['iot:GetConnection', 'iot:ListSubscriptions'],
      resources: [['client', '*']],
      reason: 'Any registered device may be asked about.',
    });
  }

  /**
   * Lets a function revoke the certificates of a device and close its connection. IAM cannot tell devices from other
   * things.
   */
  grantRevoke({ role }: OtaFunction): void {
    grantByResource(
      role,
      {
        thing: ['iot:DescribeThing', 'iot:ListThingPrincipals'],
        cert: ['iot:UpdateCertificate'],
        client: ['iot:DeleteConnection'],
      },
      'Any device may be revoked; the function asks first whether it is one of ours, and sets no other status.',
    );
  }

  /** Lets a function revoke the older certificates of a device. */
  grantRevokeOlder({ role }: OtaFunction): void {
    grantByResource(
      role,
      {
        thing: ['iot:DescribeThing', 'iot:ListThingPrincipals'],
        cert: ['iot:DescribeCertificate', 'iot:ListPrincipalThings', 'iot:UpdateCertificate'],
      },
      'Any device may get another certificate; the function asks first whether it is one of ours, and sets no other status.',
    );
  }
}

function grantByResource(role: IRole, actions: Readonly<Record<string, readonly string[]>>, reason: string): void {
  for (const [resource, names] of Object.entries(actions)) {
    grantIotWildcards(role, { actions: names, resources: [[resource, '*']], reason });
  }
}

/** Both subtrees of the device, what the settings add, and nothing that another device obeys or says, nor a command. */
function statementsOf(settings: Settings): IotStatement[] {
  const permissions = topicsOf(settings).flatMap((topic) => permissionsOf(topic, settings.topicPrefix));
  const commands = commandTopics(THING).map((topic) => ['topic', topic] as const);
  return [
    { actions: ['iot:Connect'], resources: [['client', THING]] },
    ...inFewStatements(permissions),
    { effect: 'Deny', actions: ['iot:Publish'], resources: commands },
  ];
}

/**
 * The topics on which a device is told something. It may not publish there: a retained message would outlive the
 * certificate that published it, and the device would obey what a revoked copy of its certificate told it.
 */
const commandTopics = (deviceId: string) => ['cmd/*', 'control', 'config/set'].map((leaf) => `*/${deviceId}/${leaf}`);

function topicsOf({ topicPrefix: prefix, extraDeviceTopics }: Settings): DeviceTopic[] {
  const own: DeviceTopic[] = ['edge', 'devices'].map((tree) => ({
    topic: `${prefix}/${tree}/{deviceId}/*`,
    allow: ['subscribe', 'retain'],
  }));
  return [...own, ...extraDeviceTopics];
}

/** `subscribe to a, b; publish on c, but not on e; retain on d`. Retaining includes publishing. */
function allowedText(settings: Settings): string {
  const topics = topicsOf(settings);
  const named = (...actions: DeviceTopic['allow']) =>
    topics
      .filter(({ allow }) => allow.some((action) => actions.includes(action)))
      .map(({ topic }) => topic.replaceAll('{prefix}', () => settings.topicPrefix))
      .join(', ');
  const commands = commandTopics('{deviceId}').join(', ');
  return `subscribe to ${named('subscribe')}; publish on ${named('publish', 'retain')}, but not on ${commands}; retain on ${named('retain')}`;
}

type Permission = readonly [resource: 'topic' | 'topicfilter', name: string, actions: readonly string[]];

function permissionsOf({ topic, allow }: DeviceTopic, prefix: string): Permission[] {
  const name = deviceTopicName(topic, prefix, THING);
  const onTopic = [
    ...(allow.includes('publish') || allow.includes('retain') ? ['iot:Publish'] : []),
    ...(allow.includes('subscribe') ? ['iot:Receive'] : []),
    ...(allow.includes('retain') ? ['iot:RetainPublish'] : []),
  ];
  const onFilter: Permission[] = allow.includes('subscribe') ? [['topicfilter', name, ['iot:Subscribe']]] : [];
  return [['topic', name, onTopic], ...onFilter];
}

/** Resources with the same actions share a statement, because the length of a policy is limited. */
function inFewStatements(permissions: readonly Permission[]): IotStatement[] {
  const kinds = [...new Set(permissions.map(([, , actions]) => actions.join()))];
  return kinds.map((kind) => {
    const resources = permissions.filter(([, , actions]) => actions.join() === kind);
    return { actions: kind.split(','), resources: resources.map(([resource, name]) => [resource, name] as const) };
  });
}
