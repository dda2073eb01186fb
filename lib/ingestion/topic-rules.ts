import { Arn, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnTopicRule } from 'aws-cdk-lib/aws-iot';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** Messages that a rule takes. */
export interface TopicSource {
  /** MQTT topic filter. */
  readonly filter: string;
  /** Condition on fields of the payload, as in the rule's SQL. @default all messages */
  readonly where?: string;
  /** Whether the message names who published it. */
  readonly withPrincipal?: true;
}

export interface TopicRulesProps {
  /** Sources whose messages go to the queue. */
  readonly sources: readonly TopicSource[];
  readonly queue: Queue;
  /** Gets the messages that the rule could not put on the first queue. */
  readonly undelivered: Queue;
}

/**
 * One rule per source, which puts messages on a queue unchanged. The SQL wraps the payload and does not parse it,
 * so a payload cannot claim another device id, and invalid JSON arrives and is recorded. The message carries the
 * broker's receive time.
 */
export class TopicRules extends Construct {
  constructor(scope: Construct, id: string, { sources, queue, undelivered }: TopicRulesProps) {
    super(scope, id);
    const role = this.roleFor('Role', queue);
    // With one role for both, a role that lost its rights would drop messages without a trace.
    const errorRole = this.roleFor('ErrorRole', undelivered);
    sources.forEach(({ filter, where, withPrincipal }, index) => {
      const principal = withPrincipal ? ', principal() AS principal' : '';
      new CfnTopicRule(this, `Rule${index}`, {
        topicRulePayload: {
          // The default is the version of 2015, which has no encode().
          awsIotSqlVersion: '2016-03-23',
          sql: `SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id${principal} FROM '${filter}'${where === undefined ? '' : ` WHERE ${where}`}`,
          actions: [{ sqs: { queueUrl: queue.queueUrl, roleArn: role.roleArn, useBase64: false } }],
          errorAction: { sqs: { queueUrl: undelivered.queueUrl, roleArn: errorRole.roleArn, useBase64: false } },
        },
      }).node.addDependency(role, errorRole);
    });
  }

  /** A role with which AWS IoT sends to one queue. */
  private roleFor(id: string, queue: Queue): Role {
    const role = new Role(this, id, {
      assumedBy: new ServicePrincipal('iot.amazonaws.com', {
        conditions: {
          StringEquals: { 'aws:SourceAccount': Stack.of(this).account },
          ArnLike: {
            'aws:SourceArn': Arn.format({ service: 'iot', resource: 'rule', resourceName: '*' }, Stack.of(this)),
          },
        },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn] }));
    return role;
  }
}
