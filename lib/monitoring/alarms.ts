import { Duration, Stack } from 'aws-cdk-lib';
import {
  type Alarm,
  ComparisonOperator,
  type CreateAlarmOptions,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { EventField, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { eventSourceOf, type Settings } from '../settings/index.ts';
import type { RunbookSection } from './runbook-sections.ts';

export interface AlarmProps extends Partial<CreateAlarmOptions> {
  readonly metric: Metric;
  /** What happened, in a sentence; the mail starts with it. */
  readonly description: string;
  /** The section of docs/runbook.md that says what to do. */
  readonly section: RunbookSection;
  /** False if a notice with more detail reports the same. @default true */
  readonly notifies?: boolean;
}

/** A message about each event of a kind, in place of the state of an alarm. */
export interface NoticeProps {
  /** The detail type of the event, which the orchestrator puts on the default bus. */
  readonly detailType: string;
  /** Lines of the message: a label, and the path of a text in the event. */
  readonly lines: readonly (readonly [label: string, path: string])[];
  readonly section: RunbookSection;
}

/** The topic that every alarm notifies, and a mail subscription of it if the settings have an address. */
export class Alarms extends Construct {
  /** Every alarm, in the order of creation. */
  readonly all: Alarm[] = [];
  private readonly topic: Topic;
  private readonly eventSource: string;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    this.eventSource = eventSourceOf(settings.name);
    this.topic = new Topic(this, 'Topic', { enforceSSL: true });
    // The default policy of a topic lets the whole account publish, and this one replaces it.
    const account = Stack.of(this).account;
    this.topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [
          new ServicePrincipal('cloudwatch.amazonaws.com', {
            conditions: { StringEquals: { 'aws:SourceAccount': account } },
          }),
        ],
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
      }),
    );
    if (settings.alarmEmail !== undefined) this.topic.addSubscription(new EmailSubscription(settings.alarmEmail));
  }

  /**
   * Adds an alarm to the construct that owns the metric. It goes off at a value of 1 or more unless the options differ.
   */
  add(scope: Construct, id: string, { metric, description, section, notifies = true, ...options }: AlarmProps): void {
    const alarm = metric.createAlarm(scope, id, {
      threshold: 1,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      ...options,
      alarmDescription: `${description} See docs/runbook.md#${section}`,
    });
    if (notifies) alarm.addAlarmAction(new SnsAction(this.topic));
    this.all.push(alarm);
  }

  /** Goes off when Lambda refuses invocations, of any function of the account: one metric in place of one each. */
  addThrottles(): void {
    this.add(this, 'FunctionsThrottledAlarm', {
      metric: new Metric({
        namespace: 'AWS/Lambda',
        metricName: 'Throttles',
        statistic: 'Sum',
        period: Duration.minutes(5),
      }),
      evaluationPeriods: 3,
      description: 'Lambda has refused invocations for 15 minutes, because too many functions run at the same time.',
      section: 'functions-throttled',
    });
  }

  /** Sends one message for each event, however many come while an alarm is on. */
  addNotice(scope: Construct, id: string, { detailType, lines, section }: NoticeProps): void {
    const text = lines.map(([label, path]) => `${label}: ${EventField.fromPath(path)}`);
    const message = RuleTargetInput.fromMultilineText([...text, `Runbook: docs/runbook.md#${section}`].join('\n'));
    const { topic } = this;
    const rule = new Rule(scope, id, {
      description: `A message for each ${detailType}`,
      eventPattern: { source: [this.eventSource], detailType: [detailType] },
      // The CDK's own target would let every rule of every account publish.
      targets: [{ bind: () => ({ arn: topic.topicArn, input: message }) }],
    });
    topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [
          new ServicePrincipal('events.amazonaws.com', {
            conditions: { ArnEquals: { 'aws:SourceArn': rule.ruleArn } },
          }),
        ],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
      }),
    );
  }
}
