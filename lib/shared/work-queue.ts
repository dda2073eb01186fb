import { Duration } from 'aws-cdk-lib';
import { GraphWidget, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { EventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { type Alarms, constructName } from '../monitoring/index.ts';

export interface WorkQueueProps {
  /** Handles the messages. */
  readonly fn: LambdaFunction;
  readonly alarms: Alarms;
  readonly batchSize: number;
  /** How long a batch waits for more messages. @default - no wait */
  readonly batchWindow?: Duration;
  /** Batches that are handled at the same time. @default 10 */
  readonly maxConcurrency?: number;
}

/** A database that resumes costs a few receives, so only bugs and long outages fill the dead-letter queue. */
const MAX_RECEIVE_COUNT = 50;
const RETENTION = Duration.days(14);

/** A queue whose messages a function handles, its dead-letter queue, and an alarm on the latter. */
export class WorkQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  private readonly props: WorkQueueProps;

  constructor(scope: Construct, id: string, props: WorkQueueProps) {
    super(scope, id);
    this.props = props;
    this.deadLetters = new Queue(this, 'DeadLetters', { enforceSSL: true, retentionPeriod: RETENTION });
    this.queue = this.addQueue('Queue');
    props.alarms.add(this, 'DeadLettersAlarm', {
      metric: this.deadLetters.metricApproximateNumberOfMessagesVisible(),
      description: `Messages that ${constructName(this)} could not handle wait in its dead-letter queue.`,
      section: 'dead-letters',
    });
    props.alarms.add(this, 'WaitingAlarm', {
      metric: this.queue.metricApproximateAgeOfOldestMessage({ period: Duration.minutes(5) }),
      threshold: Duration.minutes(15).toSeconds(),
      evaluationPeriods: 2,
      description: `The oldest message of ${constructName(this)} has waited for a quarter of an hour.`,
      section: 'messages-wait',
    });
  }

  /** Another queue whose messages the same function handles, with the same dead-letter queue. */
  addQueue(id: string): Queue {
    const { fn, batchSize, batchWindow, maxConcurrency = 10 } = this.props;
    const queue = new Queue(this, id, {
      enforceSSL: true,
      retentionPeriod: RETENTION,
      // AWS recommends six times the function's timeout plus the batch window.
      visibilityTimeout: Duration.seconds(6 * (fn.timeout?.toSeconds() ?? 30) + (batchWindow?.toSeconds() ?? 0)),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVE_COUNT },
    });
    // An event source mapping needs only these (docs/aws-assumptions.md); the CDK's grantConsumeMessages grants more.
    queue.grant(fn, 'sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes');
    new EventSourceMapping(this, `${id}Mapping`, {
      target: fn,
      eventSourceArn: queue.queueArn,
      batchSize,
      maxConcurrency,
      reportBatchItemFailures: true,
      ...(batchWindow === undefined ? {} : { maxBatchingWindow: batchWindow }),
    });
    return queue;
  }

  /** Number of messages and dead letters, and the age of the oldest message. */
  graph(): IWidget {
    return new GraphWidget({
      title: `${constructName(this)}: waiting, dead`,
      left: [
        this.queue.metricApproximateNumberOfMessagesVisible({ label: 'waiting' }),
        this.deadLetters.metricApproximateNumberOfMessagesVisible({ label: 'dead letters' }),
      ],
      right: [this.queue.metricApproximateAgeOfOldestMessage({ label: 'oldest, seconds' })],
    });
  }

  /** Lets a function send messages to the queue. */
  grantSend(fn: IGrantable): void {
    this.queue.grant(fn, 'sqs:SendMessage');
  }

  /** Lets a function count the dead letters and redrive them. */
  grantRedrive(fn: IGrantable): void {
    this.deadLetters.grant(
      fn,
      'sqs:GetQueueAttributes',
      'sqs:StartMessageMoveTask',
      // SQS moves the messages with the permissions of the caller.
      'sqs:ReceiveMessage',
      'sqs:DeleteMessage',
    );
    this.grantSend(fn);
  }
}
