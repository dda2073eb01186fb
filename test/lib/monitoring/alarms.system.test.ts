import { readFileSync } from 'node:fs';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { FIXED } from '../../../cli/commands/cost/index.ts';
import { METRICS } from '../../../core/util/index.ts';
import { type Alarms, RUNBOOK_SECTIONS, type RunbookSection } from '../../../lib/monitoring/index.ts';
import { type Metric, unknownMetrics } from '../../support/lib/metric-reference.ts';
import { propertiesOf, resources, synthesize } from '../../support/lib/templates.ts';

interface Alarm {
  readonly AlarmDescription: string;
  readonly AlarmActions: unknown[];
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Dimensions?: { readonly Name: string; readonly Value: unknown }[];
  readonly Period: number;
  readonly TreatMissingData: string;
}

const { data, service, serviceTemplate, dataTemplate } = synthesize();
const alarmsOf = (template: typeof serviceTemplate) =>
  resources(template, 'AWS::CloudWatch::Alarm').map(
    ([id, { Properties }]) => [id, Properties as unknown as Alarm] as const,
  );
const alarms = alarmsOf(serviceTemplate);
const alarmOn = (metric: string, among = alarms) => among.find(([, { MetricName }]) => MetricName === metric)?.[1];

/** The anchor that GitHub gives a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
const runbook = readFileSync(new URL('../../../docs/runbook.md', import.meta.url), 'utf8')
  .split(/^## /m)
  .slice(1)
  .map((section) => ({ anchor: anchor(section.split('\n')[0] ?? ''), hasAlarm: section.includes('**Alarm:**') }));

/** Of alarms: CloudWatch's form of a resource. */
const toMetric = ({ Namespace: namespace, MetricName: name, Dimensions = [] }: Alarm): Metric => ({
  namespace,
  name,
  dimensions: Dimensions.map((dimension) => dimension.Name),
});

/** Of a dashboard, whose body is text with references in it: lists of namespace, name, dimensions with values, options. */
function metricsOfDashboards(): Metric[] {
  const bodies = propertiesOf(serviceTemplate, 'AWS::CloudWatch::Dashboard').map(({ DashboardBody }) => {
    const [, parts] = (DashboardBody as { 'Fn::Join': [string, unknown[]] })['Fn::Join'];
    return JSON.parse(parts.map((part) => (typeof part === 'string' ? part : 'reference')).join(''));
  });
  const lists: unknown[][] = bodies.flatMap(({ widgets }) =>
    widgets.flatMap((widget: { properties: { metrics?: unknown[][] } }) => widget.properties.metrics ?? []),
  );
  return lists.map((list) => {
    const [namespace = '', name = '', ...pairs] = list.filter((part) => typeof part === 'string');
    return { namespace, name, dimensions: pairs.filter((_, index) => index % 2 === 0) };
  });
}

test('each metric of AWS in an alarm or a dashboard exists with its dimensions', async () => {
  const metrics = [
    ...[...alarms, ...alarmsOf(dataTemplate)].map(([, alarm]) => toMetric(alarm)),
    ...metricsOfDashboards(),
  ];
  const ofAws = metrics.filter(({ namespace }) => namespace.startsWith('AWS/'));
  expect(ofAws.length).toBeGreaterThan(40);
  expect(await unknownMetrics(ofAws)).toEqual([]);
});

test.each([
  ['AWS/SQS', 'ApproximateAgeOfOldestMessages', ['QueueName']],
  ['AWS/Lambda', 'Errors', ['Function']],
  ['AWS/ApiGateway', '5XXError', ['ApiId']],
])('%s %s with %j is no metric of AWS', async (namespace, name, dimensions) => {
  expect(await unknownMetrics([{ namespace, name, dimensions }])).toEqual([`${namespace} ${name} [${dimensions}]`]);
});

describe('every alarm', () => {
  test('is counted in the projected cost', () => {
    expect(alarms.length + alarmsOf(dataTemplate).length).toBe(FIXED.alarms);
  });

  test('names a section of the runbook, and every section about an alarm is named by one', () => {
    const named = alarms.map(
      ([, { AlarmDescription }]) => / See docs\/runbook\.md#([a-z-]+)$/.exec(AlarmDescription)?.[1],
    );
    const sections = runbook.filter(({ hasAlarm }) => hasAlarm).map((section) => section.anchor);
    expect([...new Set(named)].sort()).toEqual([...sections].sort());
    expect([...RUNBOOK_SECTIONS].sort()).toEqual([...sections].sort());
  });

  test('does not compile with a section that the runbook does not have', () => {
    type Section = Parameters<Alarms['add']>[2]['section'];
    expectTypeOf<Section>().toEqualTypeOf<RunbookSection>();
    // @ts-expect-error: not a section of docs/runbook.md
    const section: Section = 'no-such-section';
    expect(RUNBOOK_SECTIONS).not.toContain(section);
  });

  test('notifies the topic, whose own policy lets CloudWatch publish', () => {
    const [[topic] = []] = resources(serviceTemplate, 'AWS::SNS::Topic');
    const notifying = alarms.filter(([, { MetricName }]) => MetricName !== METRICS.rolloutsHalted);
    for (const [id, { AlarmActions }] of notifying) expect(AlarmActions, id).toEqual([{ Ref: topic }]);
    const [[, policy] = []] = resources(serviceTemplate, 'AWS::SNS::TopicPolicy');
    const { Statement } = (policy?.Properties.PolicyDocument ?? { Statement: [] }) as { Statement: object[] };
    expect(Statement).toContainEqual(
      expect.objectContaining({
        Effect: 'Allow',
        Action: 'sns:Publish',
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Resource: { Ref: topic },
        Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
      }),
    );
  });

  test('is shown on the dashboard', () => {
    const [[, dashboard] = []] = resources(serviceTemplate, 'AWS::CloudWatch::Dashboard');
    const body = JSON.stringify(dashboard?.Properties.DashboardBody);
    for (const [id] of alarms) expect(body).toContain(id);
  });
});

describe('a halt', () => {
  const [[id, rule] = []] = resources(serviceTemplate, 'AWS::Events::Rule').filter(([, { Properties }]) =>
    JSON.stringify(Properties).includes('RolloutHalted'),
  );

  test('is reported by a message of its own, not by the state of its alarm, which hides a second halt', () => {
    const [[topic] = []] = resources(serviceTemplate, 'AWS::SNS::Topic');
    expect(alarmOn(METRICS.rolloutsHalted)?.AlarmActions).toBeUndefined();
    expect(rule?.Properties).toMatchObject({
      EventPattern: { source: ['paku-ota'], 'detail-type': ['RolloutHalted'] },
      Targets: [{ Arn: { Ref: topic } }],
    });
  });

  test('is the only event whose rule may publish to the topic', () => {
    const [[, policy] = []] = resources(serviceTemplate, 'AWS::SNS::TopicPolicy');
    const { Statement } = (policy?.Properties.PolicyDocument ?? { Statement: [] }) as {
      Statement: { Principal: { Service?: string } }[];
    };
    const byRules = Statement.filter(({ Principal }) => Principal.Service === 'events.amazonaws.com');
    expect(byRules).toEqual([
      expect.objectContaining({
        Action: 'sns:Publish',
        Condition: { ArnEquals: { 'aws:SourceArn': { 'Fn::GetAtt': [id, 'Arn'] } } },
      }),
    ]);
  });

  test('has a message whose lines are quoted, as input templates of several lines must be', () => {
    const [target] = (rule?.Properties.Targets ?? []) as { InputTransformer: { InputTemplate: string } }[];
    const lines = (target?.InputTransformer.InputTemplate ?? '').split('\n');
    expect(lines).toHaveLength(8);
    for (const line of lines) expect(line).toMatch(/^"[^"]+"$/);
  });
});

describe('an alarm watches', () => {
  const watched = (metric: string) =>
    alarms
      .filter(([, { MetricName }]) => MetricName === metric)
      .flatMap(([, { Dimensions = [] }]) => Dimensions.map(({ Value }) => JSON.stringify(Value)));

  test('every dead-letter queue', () => {
    const deadLetters = resources(serviceTemplate, 'AWS::SQS::Queue').flatMap(([, { Properties }]) => {
      const { RedrivePolicy } = Properties as { RedrivePolicy?: { deadLetterTargetArn: { 'Fn::GetAtt': string[] } } };
      return RedrivePolicy === undefined ? [] : [RedrivePolicy.deadLetterTargetArn['Fn::GetAtt'][0]];
    });
    const expected = deadLetters.map((id) => JSON.stringify({ 'Fn::GetAtt': [id, 'QueueName'] }));
    expect(watched('ApproximateNumberOfMessagesVisible').sort()).toEqual([...new Set(expected)].sort());
    expect(new Set(expected).size).toBe(4);
  });

  test('every queue of messages that a topic rule could not deliver', () => {
    const rules = resources(serviceTemplate, 'AWS::IoT::TopicRule').map(([, { Properties }]) => {
      const { ErrorAction } = Properties.TopicRulePayload as { ErrorAction: { Sqs: { QueueUrl: { Ref: string } } } };
      return JSON.stringify({ 'Fn::GetAtt': [ErrorAction.Sqs.QueueUrl.Ref, 'QueueName'] });
    });
    expect(watched('NumberOfMessagesSent').sort()).toEqual([...new Set(rules)].sort());
  });

  test('the oldest message of each of the four queues, and the throttles of all functions by one metric', () => {
    expect(new Set(watched('ApproximateAgeOfOldestMessage')).size).toBe(4);
    expect(alarmOn('Throttles')).toMatchObject({ Namespace: 'AWS/Lambda', TreatMissingData: 'notBreaching' });
    expect(alarmOn('Throttles')?.Dimensions).toBeUndefined();
  });

  test('the errors of every function but the migration, which answers its failures to CloudFormation', () => {
    const functions = resources(serviceTemplate, 'AWS::Lambda::Function').map(([id]) => id);
    const others = functions.filter((id) => !id.startsWith('MigrationFunction'));
    expect(functions).toHaveLength(others.length + 1);
    expect(watched('Errors').sort()).toEqual(others.map((id) => JSON.stringify({ Ref: id })).sort());
  });

  test.each([
    METRICS.rolloutsHalted,
    METRICS.rejectedMessages,
    METRICS.rejectedUploads,
    METRICS.deniedCommands,
    METRICS.ticks,
  ])('the metric %s with the dimensions that the functions write', (metric) => {
    expect(alarmOn(metric)).toMatchObject({
      Namespace: 'PakuOta',
      Dimensions: [{ Name: 'service', Value: METRICS.service }],
    });
  });

  test('missing ticks, and goes off when there is no data', () => {
    expect(alarmOn('Ticks')).toMatchObject({ Period: 300, TreatMissingData: 'breaching' });
    const { serviceTemplate: hourly } = synthesize({ scheduleMinutes: 60 });
    expect(alarmOn('Ticks', alarmsOf(hourly))).toMatchObject({ Period: 10_800 });
  });

  test('throttled requests, which are counted from the access log', () => {
    const [[, filter] = []] = resources(serviceTemplate, 'AWS::Logs::MetricFilter');
    expect(filter?.Properties).toMatchObject({
      FilterPattern: '{ $.status = "429" }',
      MetricTransformations: [{ MetricNamespace: 'PakuOta', MetricName: 'ThrottledRequests' }],
    });
    expect(alarmOn('ThrottledRequests')).toMatchObject({ Namespace: 'PakuOta' });
  });

  test('the capacity of the database, from the service stack, which depends on the data stack', () => {
    const [cluster] = alarmOn('ACUUtilization')?.Dimensions ?? [];
    expect(cluster).toMatchObject({ Name: 'DBClusterIdentifier' });
    expect(JSON.stringify(cluster?.Value)).toContain('DatabaseCluster5B53A178');
    expect(alarmsOf(dataTemplate)).toEqual([]);
    expect(data.dependencies).not.toContain(service);
  });
});
