import type { Clock, Interceptors } from '../kernel/index.ts';
import { arnOf } from '../kernel/index.ts';
import {
  type BusRule,
  compileEventPattern,
  compileInputTransformer,
  type InputTransformer,
} from '../services/events/index.ts';
import type { BrokerMessage } from '../services/iot/index.ts';
import { compileTopicRule } from '../services/iot/index.ts';
import { type Consumer, LocalQueue, type Message, type Queues, queueByUrl } from '../services/sqs/index.ts';
import type { Assembly } from './assembly.ts';
import { type Roles, required } from './roles.ts';
import type { Invoke } from './template-functions.ts';

/** Concurrent batches of one mapping; a local function has that many environments. */
const CONCURRENCY = 2;
/** Permissions that a function's role needs for its queue. Lambda checks them when it creates the mapping. */
const CONSUMER_ACTIONS = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];

export function queuesOf(assembly: Assembly, clock: Clock, { onSend }: Interceptors): Queues {
  const queues = new Map<string, LocalQueue>();
  for (const { logicalId, properties } of assembly.ofType('AWS::SQS::Queue')) {
    const redrive = properties.RedrivePolicy as { deadLetterTargetArn: string; maxReceiveCount: number } | undefined;
    const settings = {
      name: logicalId,
      arn: arnOf('sqs', logicalId),
      visibilityTimeoutSeconds: Number(properties.VisibilityTimeout ?? 30),
      redrive: redrive && {
        deadLetterArn: redrive.deadLetterTargetArn,
        maxReceiveCount: Number(redrive.maxReceiveCount),
      },
    };
    queues.set(settings.arn, new LocalQueue(settings, (arn) => queues.get(arn), clock, onSend));
  }
  return queues;
}

/** The event source mappings. @returns a function that starts their deliveries */
export function consumersOf(assembly: Assembly, queues: Queues, roles: Roles, invoke: Invoke): () => void {
  const functions = new Map(
    assembly.ofType('AWS::Lambda::Function').map(({ logicalId, properties }) => [logicalId, properties]),
  );
  const mappings = assembly.ofType('AWS::Lambda::EventSourceMapping').map(({ logicalId, properties }) => {
    const queue = required(queues.get(String(properties.EventSourceArn)), `queue ${properties.EventSourceArn}`);
    const name = String(properties.FunctionName);
    roles.require(
      logicalId,
      required(functions.get(name), `function ${name}`).Role,
      CONSUMER_ACTIONS,
      queue.settings.arn,
    );
    const partial = String(properties.FunctionResponseTypes ?? '').includes('ReportBatchItemFailures');
    const consumer: Consumer = {
      batchSize: Number(properties.BatchSize ?? 10),
      windowSeconds: Number(properties.MaximumBatchingWindowInSeconds ?? 0),
      concurrency: CONCURRENCY,
      async consume(messages) {
        const answer = await invoke(arnOf('lambda', `function:${name}`), {
          Records: messages.map((message) => toRecord(message, queue)),
        });
        return partial ? failedIds(answer, messages) : [];
      },
    };
    return { queue, consumer };
  });
  return () => {
    for (const { queue, consumer } of mappings) queue.attach(consumer);
  };
}

const toRecord = ({ id, body, receives, sentAt }: Message, { settings }: LocalQueue) => ({
  messageId: id,
  receiptHandle: id,
  body,
  attributes: { ApproximateReceiveCount: String(receives), SentTimestamp: String(sentAt) },
  messageAttributes: {},
  eventSource: 'aws:sqs',
  eventSourceARN: settings.arn,
});

/** Ids of the failed messages of a batch. An answer with an unknown id fails the whole batch, as on AWS. */
function failedIds(answer: unknown, messages: readonly Message[]): string[] {
  const { batchItemFailures } = (answer ?? {}) as { batchItemFailures?: readonly { itemIdentifier: string }[] | null };
  const failed = (batchItemFailures ?? []).map(({ itemIdentifier }) => itemIdentifier);
  const sent = messages.map(({ id }) => id);
  return failed.every((id) => sent.includes(id)) ? failed : sent;
}

interface SqsAction {
  readonly Sqs?: { readonly QueueUrl: string; readonly RoleArn: string; readonly UseBase64?: boolean };
}

/**
 * A function that puts a message of the broker on the queue of each rule that matches it. A local action does not fail
 * after its grant was checked, so an error action runs only for an injected fault.
 */
export function topicRulesOf(
  assembly: Assembly,
  queues: Queues,
  roles: Roles,
  { failsAction = () => false }: Interceptors,
): (message: BrokerMessage) => void {
  const rules = assembly.ofType('AWS::IoT::TopicRule').map(({ logicalId, properties }) => {
    const { Sql, AwsIotSqlVersion, Actions, ErrorAction } = properties.TopicRulePayload as {
      Sql: string;
      AwsIotSqlVersion?: string;
      Actions: readonly SqsAction[];
      ErrorAction?: SqsAction;
    };
    const [queue, ...others] = Actions.map((action) => actionQueue(logicalId, action, queues, roles));
    if (queue === undefined || others.length > 0) throw new Error(`${logicalId}: expected exactly one action`);
    const errorQueue = ErrorAction && actionQueue(logicalId, ErrorAction, queues, roles);
    return { name: logicalId, rule: compileTopicRule(Sql, AwsIotSqlVersion), queue, errorQueue };
  });
  return (message) => {
    for (const { name, rule, queue, errorQueue } of rules.filter(({ rule }) => rule.matches(message))) {
      if (failsAction(message.topic)) errorQueue?.send(undelivered(name, message));
      else queue.send(rule.apply(message));
    }
  };
}

/** The message that AWS IoT passes to an error action ("Error handling (error action)", AWS IoT developer guide). */
const undelivered = (ruleName: string, { topic, clientId, payload }: BrokerMessage): string =>
  JSON.stringify({
    ruleName,
    topic,
    clientId,
    base64OriginalPayload: payload.toString('base64'),
    failures: [{ failedAction: 'SqsAction', failedResource: 'queue', errorMessage: 'A fault that a test asked for.' }],
  });

function actionQueue(logicalId: string, { Sqs }: SqsAction, queues: Queues, roles: Roles): LocalQueue {
  if (Sqs === undefined || Sqs.UseBase64 === true)
    throw new Error(`${logicalId}: expected actions to SQS as plain text`);
  const queue = required(queueByUrl(queues, Sqs.QueueUrl), `queue ${Sqs.QueueUrl}`);
  roles.require(logicalId, Sqs.RoleArn, ['sqs:SendMessage'], queue.settings.arn);
  return queue;
}

interface RuleTarget {
  readonly Arn: string;
  readonly InputTransformer?: InputTransformer;
}

/**
 * The EventBridge rules of the template, whose targets are queues and topics.
 * @param onNotice gets each message that a topic would send to its subscribers
 */
export function busRulesOf(assembly: Assembly, queues: Queues, onNotice: (text: string) => void): BusRule[] {
  const topics = new Set(assembly.ofType('AWS::SNS::Topic').map(({ logicalId }) => arnOf('sns', logicalId)));
  return assembly.ofType('AWS::Events::Rule').map(({ logicalId, properties }) => {
    const targets = (properties.Targets as readonly RuleTarget[]).map(({ Arn, InputTransformer: transformer }) => {
      const transform = transformer === undefined ? (event: string) => event : compileInputTransformer(transformer);
      if (topics.has(Arn)) return (event: string) => onNotice(transform(event));
      const queue = required(queues.get(Arn), `${Arn} as a target of ${logicalId}`);
      return (event: string) => queue.send(transform(event));
    });
    return {
      pattern: compileEventPattern(properties.EventPattern),
      deliver: (event) => {
        for (const send of targets) send(event);
      },
    };
  });
}
