import { Stack } from 'aws-cdk-lib';
import {
  type Alarm,
  ComparisonOperator,
  type CreateAlarmOptions,
  type Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import type { Settings } from '../settings/index.ts';
import type { RunbookSection } from './runbook-sections.ts';

export interface AlarmProps extends Partial<CreateAlarmOptions> {
  readonly metric: Metric;
  /** What happened, in a sentence; the mail starts with it. */
  readonly description: string;
  /** The section of docs/runbook.md that says what to do. */
  readonly section: RunbookSection;
}

/** The topic that every alarm notifies, and a mail subscription of it if the settings have an address. */
export class Alarms extends Construct {
  /** Every alarm, in the order of creation. */
  readonly all: Alarm[] = [];
  private readonly topic: Topic;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
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
  add(scope: Construct, id: string, { metric, description, section, ...options }: AlarmProps): void {
    const alarm = metric.createAlarm(scope, id, {
      threshold: 1,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      ...options,
      alarmDescription: `${description} See docs/runbook.md#${section}`,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    this.all.push(alarm);
  }
}
