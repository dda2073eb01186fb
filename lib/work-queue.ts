import { Duration } from 'aws-cdk-lib';
import { GraphWidget, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { EventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Alarms } from './alarms.ts';

export interface WorkQueueProps {
  readonly fn: LambdaFunction;
  readonly alarms: Alarms;
  readonly batchSize: number;
  /** @default - no waiting: a message is handled as it comes */
  readonly batchWindow?: Duration;
  /** @default 10 */
  readonly maxConcurrency?: number;
}

/** Only bugs and long outages should reach the dead-letter queue: a database that resumes costs a few receives. */
const MAX_RECEIVE_COUNT = 50;
const RETENTION = Duration.days(14);

/** A queue before a function, with the dead-letter queue behind it and the alarm on that. */
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
      description: `Messages that ${id} could not handle wait in its dead-letter queue.`,
      section: 'dead-letters',
    });
  }

  /** Another queue before the same function, with the same dead letters. */
  addQueue(id: string): Queue {
    const { fn, batchSize, batchWindow, maxConcurrency = 10 } = this.props;
    const queue = new Queue(this, id, {
      enforceSSL: true,
      retentionPeriod: RETENTION,
      // AWS advises six times the function's timeout, plus the window.
      visibilityTimeout: Duration.seconds(6 * (fn.timeout?.toSeconds() ?? 30) + (batchWindow?.toSeconds() ?? 0)),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVE_COUNT },
    });
    // What a mapping needs of its function's role (docs/aws-assumptions.md); grantConsumeMessages gives more.
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

  graph(): IWidget {
    return new GraphWidget({
      title: `${this.node.id}: waiting, dead`,
      left: [
        this.queue.metricApproximateNumberOfMessagesVisible({ label: 'waiting' }),
        this.deadLetters.metricApproximateNumberOfMessagesVisible({ label: 'dead letters' }),
      ],
      right: [this.queue.metricApproximateAgeOfOldestMessage({ label: 'oldest, seconds' })],
    });
  }

  /** Lets a function put messages on the queue. */
  grantSend(fn: IGrantable): void {
    this.queue.grant(fn, 'sqs:SendMessage');
  }

  /** Lets a function look at the dead letters and move them back. */
  grantRedrive(fn: IGrantable): void {
    this.deadLetters.grant(
      fn,
      'sqs:GetQueueAttributes',
      'sqs:StartMessageMoveTask',
      // The move itself is done in the caller's name.
      'sqs:ReceiveMessage',
      'sqs:DeleteMessage',
    );
    this.grantSend(fn);
  }
}
