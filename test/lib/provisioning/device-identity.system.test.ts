import { expect, test } from 'vitest';
import { statementsOf, synthesize } from '../../support/lib/templates.ts';

const THING = '$' + '{iot:Connection.Thing.ThingName}';

/** The statements of the device policy: actions, and the kind and pattern of each resource. */
function deviceStatements(settings: object = {}): string[] {
  const [statements = []] = statementsOf(synthesize(settings).serviceTemplate, 'AWS::IoT::Policy');
  return statements.flatMap(({ Effect, Action, Resource }) => {
    const names = [...JSON.stringify(Resource).matchAll(/:(client|topic|topicfilter)\/([^"]*)"/g)];
    return names.map(
      ([, kind, name]) => `${Effect === 'Deny' ? 'not ' : ''}${[Action].flat().join(' ')}: ${kind}/${name}`,
    );
  });
}

const ON_TOPIC = 'iot:Publish iot:Receive iot:RetainPublish';
const OWN = [
  `iot:Connect: client/${THING}`,
  `${ON_TOPIC}: topic/paku/edge/${THING}/*`,
  `${ON_TOPIC}: topic/paku/devices/${THING}/*`,
  `iot:Subscribe: topicfilter/paku/edge/${THING}/*`,
  `iot:Subscribe: topicfilter/paku/devices/${THING}/*`,
];
const COMMANDS = ['cmd/*', 'control', 'config/set'].map((leaf) => `not iot:Publish: topic/*/${THING}/${leaf}`);

test('the device policy allows the two subtrees of the device, and what firmware 1.1.0 to 1.4.2 uses beside them', () => {
  expect(deviceStatements()).toEqual([
    ...OWN,
    'iot:Subscribe: topicfilter/paku/control',
    `iot:Subscribe: topicfilter/paku/heater/${THING}/cmd`,
    'iot:Receive: topic/paku/control',
    `iot:Receive: topic/paku/heater/${THING}/cmd`,
    'iot:Publish: topic/paku/sensors/*',
    ...COMMANDS,
  ]);
});

test('extraDeviceTopics replaces the topics beside the two subtrees', () => {
  expect(deviceStatements({ extraDeviceTopics: [] })).toEqual([...OWN, ...COMMANDS]);
  const extraDeviceTopics = [{ topic: '{prefix}/log/{deviceId}', allow: ['retain'] }];
  expect(deviceStatements({ extraDeviceTopics })).toEqual([
    ...OWN,
    `iot:Publish iot:RetainPublish: topic/paku/log/${THING}`,
    ...COMMANDS,
  ]);
});

test('what certificates and things refer to is kept when the stack is deleted, which could not delete it', () => {
  const { serviceTemplate } = synthesize();
  const kept = { DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' };
  for (const type of ['AWS::IoT::Policy', 'AWS::IoT::ThingType', 'AWS::IoT::ThingGroup'])
    serviceTemplate.allResources(type, kept);
  serviceTemplate.resourceCountIs('AWS::IoT::Policy', 2);
});

test('a device policy that is too long for AWS in the region with the longest name fails the synthesis', () => {
  const topics = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ topic: `{prefix}/house/{deviceId}/room-${n}`, allow: ['subscribe'] }));
  expect(() => synthesize({ extraDeviceTopics: topics(12) })).toThrow(
    /DeviceIdentity\/Policy has \d{4} characters in us-isof-south-1 \(aws-iso-f\), AWS takes 2048: shorten topicPrefix/,
  );
  expect(() => synthesize({ extraDeviceTopics: topics(4) })).not.toThrow();
});
