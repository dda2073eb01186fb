import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { type Resource, resources, synthesize } from '../../support/lib/templates.ts';

/** The most characters that the setting takes; the settings tests refuse one more. */
const LONGEST = 'Staging-of-the-northern-vans';

const one = synthesize();
const other = synthesize({ name: LONGEST, topicPrefix: 'stage' });

interface Text {
  readonly type: string;
  /** Path of the property, without the positions in lists. */
  readonly property: string;
  readonly value: string;
}

/** Every text in the properties of a template. A reference is not text: CloudFormation puts the name of its own stack. */
function textsOf(template: Template): Text[] {
  const all = Object.values(template.toJSON().Resources as Record<string, Resource & { Type: string }>);
  return all.flatMap(({ Type: type, Properties }) => leaves(Properties).map((leaf) => ({ type, ...leaf })));
}

function leaves(value: unknown, property = ''): Omit<Text, 'type'>[] {
  if (typeof value === 'string') return [{ property, value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    leaves(part, Array.isArray(value) ? property : `${property}.${key}`),
  );
}

const textsOfBoth = ({ dataTemplate, serviceTemplate }: typeof one) =>
  [dataTemplate, serviceTemplate].flatMap((template) => textsOf(template));

/** Texts that name something, of which an account may have only one, or which several would share. */
const names = (texts: Text[]) =>
  texts.filter(({ property }) => /\.(?:\w*Name|\w*Namespace|\w*Identifier|\w*Id|source)$/.test(property));

/** Names that two deployments share, and why they do not collide. */
const SHARED: Readonly<Record<string, string>> = {
  'AWS::CloudWatch::Alarm.MetricName': 'of AWS, or in a namespace of the deployment',
  'AWS::CloudWatch::Alarm.Namespace': 'of AWS; its dimensions name resources of the stack',
  'AWS::CloudWatch::Alarm.Dimensions.Name': 'a name of a dimension',
  'AWS::Logs::MetricFilter.MetricTransformations.MetricName': 'in a namespace of the deployment',
  'AWS::IAM::Policy.PolicyName': 'inline, in a role of the stack',
  'AWS::ApiGatewayV2::Stage.StageName': 'of an API of the stack',
  'AWS::RDS::DBCluster.DatabaseName': 'in a cluster of the stack',
  'AWS::RDS::DBCluster.DBClusterParameterGroupName': 'of AWS',
  'AWS::Events::Rule.Targets.Id': 'of a rule of the stack',
  'AWS::Events::Rule.EventPattern.source': 'of AWS; the rule names the bucket of the stack',
};

const key = ({ type, property }: Text) => `${type}${property}`;
const line = (text: Text) => `${key(text)} = ${text.value}`;

describe('two deployments in one account and region', () => {
  test('have stacks, exports and outputs of their own', () => {
    expect([one.data.stackName, one.service.stackName]).toEqual(['PakuOtaData', 'PakuOta']);
    expect([other.data.stackName, other.service.stackName]).toEqual([`${LONGEST}Data`, LONGEST]);
    const exportsOf = ({ dataTemplate, serviceTemplate }: typeof one) =>
      [dataTemplate, serviceTemplate]
        .flatMap((template) =>
          Object.values(template.toJSON().Outputs as Record<string, { Export?: { Name: string } }>),
        )
        .flatMap(({ Export }) => (Export === undefined ? [] : [Export.Name]));
    const ours = exportsOf(one);
    expect(ours.length).toBeGreaterThan(5);
    expect(exportsOf(other).filter((name) => ours.includes(name))).toEqual([]);
  });

  test('share no name but those that cannot collide', () => {
    const ours = new Set(names(textsOfBoth(one)).map(line));
    const same = names(textsOfBoth(other)).filter((text) => ours.has(line(text)));
    expect([...new Set(same.filter((text) => !(key(text) in SHARED)).map(line))]).toEqual([]);
    expect(Object.keys(SHARED).filter((known) => !same.some((text) => key(text) === known))).toEqual([]);
  });

  test('import nothing from each other', () => {
    const imports = JSON.stringify(other.serviceTemplate.toJSON()).match(/"Fn::ImportValue":"[^:"]+/g) ?? [];
    expect(new Set(imports)).toEqual(new Set([`"Fn::ImportValue":"${LONGEST}Data`]));
  });

  test('count in namespaces of their own, in functions as in alarms', () => {
    const namespaces = ({ serviceTemplate }: typeof one) =>
      new Set(
        textsOf(serviceTemplate)
          .filter(({ property }) => /Namespace$|NAMESPACE$/.test(property))
          .map(({ value }) => value)
          .filter((value) => !value.startsWith('AWS/')),
      );
    expect(namespaces(one)).toEqual(new Set(['PakuOta']));
    expect(namespaces(other)).toEqual(new Set([LONGEST]));
    for (const [id, { Properties }] of resources(other.serviceTemplate, 'AWS::Lambda::Function')) {
      const { Variables } = Properties.Environment as { Variables: Record<string, unknown> };
      expect(Variables.POWERTOOLS_METRICS_NAMESPACE, id).toBe(LONGEST);
    }
  });

  test('take and send messages on topics of their own; only disconnections come to both', () => {
    const filters = ({ serviceTemplate }: typeof one) =>
      resources(serviceTemplate, 'AWS::IoT::TopicRule').map(([, { Properties }]) => {
        const { sql } = { sql: (Properties.TopicRulePayload as { Sql: string }).Sql };
        return /FROM '([^']+)'/.exec(sql)?.[1] ?? '';
      });
    const shared = filters(one).filter((filter) => filters(other).includes(filter));
    expect(shared).toEqual(['$aws/events/presence/disconnected/+']);
    expect(filters(other).filter((filter) => filter.startsWith('stage/'))).toHaveLength(3);
    const policies = JSON.stringify(resources(other.serviceTemplate, 'AWS::IoT::Policy'));
    expect(policies).toContain('stage/devices/');
    expect(policies).not.toContain('paku/');
  });

  test('hear only their own events of rollouts', () => {
    const source = { one: 'paku-ota', other: `paku-ota.${LONGEST}` };
    for (const [deployment, expected] of [
      [one, source.one],
      [other, source.other],
    ] as const) {
      const texts = textsOf(deployment.serviceTemplate);
      const heard = texts.filter(({ property, value }) => property === '.EventPattern.source' && value !== 'aws.s3');
      const sent = texts.filter(({ property }) => property.endsWith('.EVENT_SOURCE'));
      expect([...heard, ...sent].map(({ value }) => value)).toEqual([expected, expected]);
    }
  });
});

test.each([
  ['AWS::IoT::ProvisioningTemplate', '.TemplateName', 36],
  ['AWS::Logs::MetricFilter', '.MetricTransformations.MetricNamespace', 255],
  ['AWS::ApiGatewayV2::Api', '.Name', 128],
  ['AWS::Events::Rule', '.EventPattern.source', 256],
  ['AWS::IAM::Policy', '.PolicyName', 128],
  ['AWS::EC2::VPC', '.Tags.Value', 256],
])('with the longest name that may be set, %s%s is at most %i characters long', (type, property, limit) => {
  const found = textsOfBoth(other).filter((text) => text.type === type && text.property === property);
  expect(found.length).toBeGreaterThan(0);
  for (const { value } of found) expect(value.length, value).toBeLessThanOrEqual(limit);
});

test('the longest name has the most characters that a name of a provisioning template leaves', () => {
  expect(`${LONGEST}-devices`).toHaveLength(36);
});
