import { Duration } from 'aws-cdk-lib';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ENV } from '../../core/util/index.ts';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import { constructName } from '../monitoring/index.ts';
import { WorkQueue } from '../shared/index.ts';
import { TopicRules, type TopicSource } from './topic-rules.ts';

export interface TopicIngestionProps {
  readonly base: ServiceBase;
  /** Folder in lambdas/ of the function that handles the messages. */
  readonly name: string;
  readonly sources: readonly TopicSource[];
  readonly batchSize: number;
}

/** Messages of some topics on their way into the database: rules, queues and the function that handles them. */
export class TopicIngestion extends Construct {
  readonly fn: DatabaseFunction;
  readonly work: WorkQueue;
  /** The queue of the rules, and that of their error actions. */
  readonly queues: readonly Queue[];

  constructor(scope: Construct, id: string, { base, name, sources, batchSize }: TopicIngestionProps) {
    super(scope, id);
    const { alarms, settings } = base;
    const fn = new DatabaseFunction(this, 'Default', { name, role: 'ingest', base, timeout: Duration.seconds(60) });
    this.fn = fn;
    this.work = new WorkQueue(this, 'Queue', { fn, alarms, batchSize, batchWindow: Duration.seconds(1) });
    const undelivered = this.work.addQueue('Undelivered');
    this.queues = [this.work.queue, undelivered];
    fn.addEnvironment(ENV.topicPrefix, settings.topicPrefix);
    fn.addEnvironment(ENV.acceptAnyClientId, String(settings.acceptAnyClientId));
    fn.addEnvironment(ENV.undeliveredQueueArn, undelivered.queueArn);
    const rules = new TopicRules(this, 'Rules', { sources, queue: this.work.queue, undelivered });
    alarms.add(rules, 'UndeliveredAlarm', {
      metric: undelivered.metricNumberOfMessagesSent({ period: Duration.minutes(5) }),
      description: `A rule of ${constructName(rules)} could not put messages on their queue; its error action put them on another.`,
      section: 'undelivered-messages',
    });
  }
}
