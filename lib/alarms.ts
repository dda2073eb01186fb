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
import type { Settings } from './settings.ts';

export interface AlarmProps extends Partial<CreateAlarmOptions> {
  readonly metric: Metric;
  /** A sentence for whoever gets the mail. */
  readonly description: string;
  /** Anchor of a heading in docs/runbook.md, which says what to do. */
  readonly section: string;
}

/** Where every alarm goes; to an e-mail address where the settings name one. */
export class Alarms extends Construct {
  /** Those that were added, in that order. */
  readonly all: Alarm[] = [];
  private readonly topic: Topic;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', { enforceSSL: true });
    // A policy of one's own takes the place of the default one, which lets everything of the account publish.
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

  /** An alarm within the construct that owns what it watches. Goes off at one and more, unless told otherwise. */
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
