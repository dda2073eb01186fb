import { expect, test } from 'vitest';
import { propertiesOf, resources, synthesize } from '../../support/lib/templates.ts';

const { serviceTemplate } = synthesize();

/** Logical ids of the functions that handle the messages of an SQS action. */
const functionsFedBy = (action: object | undefined): unknown[] => {
  const { QueueUrl } = (action as { Sqs: { QueueUrl: { Ref: string } } }).Sqs;
  return propertiesOf(serviceTemplate, 'AWS::Lambda::EventSourceMapping')
    .filter(({ EventSourceArn }) => JSON.stringify(EventSourceArn).includes(`"${QueueUrl.Ref}"`))
    .map(({ FunctionName }) => FunctionName);
};

test('each rule has another role for its error action than for its action, so that no single one drops messages', () => {
  const rules = resources(serviceTemplate, 'AWS::IoT::TopicRule');
  expect(rules).toHaveLength(4);
  for (const [id, { Properties }] of rules) {
    const { Actions, ErrorAction } = Properties.TopicRulePayload as {
      Actions: { Sqs: { RoleArn: object } }[];
      ErrorAction: { Sqs: { RoleArn: object } };
    };
    expect(Actions[0]?.Sqs.RoleArn, id).not.toEqual(ErrorAction.Sqs.RoleArn);
  }
});

test('topic rules put every message on a queue with its payload, topic, receive time and client id', () => {
  const rules = propertiesOf(serviceTemplate, 'AWS::IoT::TopicRule').map(
    ({ TopicRulePayload }) =>
      TopicRulePayload as { Sql: string; AwsIotSqlVersion: string; Actions: object[]; ErrorAction: object },
  );
  expect(rules.map(({ Sql }) => /FROM '([^']*)'/.exec(Sql)?.[1])).toEqual([
    'paku/edge/+/status',
    '$aws/events/presence/disconnected/+',
    'paku/devices/+/ota/+',
    'paku/edge/+/ota/+',
  ]);
  expect(rules.map(({ Sql }) => Sql.includes(', principal() AS principal FROM'))).toEqual([true, false, false, false]);
  for (const rule of rules) {
    expect(rule.Sql).toContain(
      "SELECT encode(*, 'base64') AS payload, topic() AS topic, timestamp() AS received_at, clientid() AS client_id",
    );
    expect(rule.AwsIotSqlVersion).toBe('2016-03-23');
    // The error action uses another queue of the same function.
    expect(functionsFedBy(rule.ErrorAction)).toEqual(functionsFedBy(rule.Actions[0]));
    expect(functionsFedBy(rule.ErrorAction)).toHaveLength(1);
    expect(rule.ErrorAction).not.toEqual(rule.Actions[0]);
  }
});

test('the functions know the topic prefix, and take messages from the own client alone unless the settings say otherwise', () => {
  const variables = (settings: object) =>
    propertiesOf(synthesize(settings).serviceTemplate, 'AWS::Lambda::Function')
      .map(({ Environment }) => (Environment as { Variables: Record<string, unknown> } | undefined)?.Variables ?? {})
      .filter((names) => 'ACCEPT_ANY_CLIENT_ID' in names)
      .map(({ TOPIC_PREFIX, ACCEPT_ANY_CLIENT_ID }) => [TOPIC_PREFIX, ACCEPT_ANY_CLIENT_ID]);
  expect(variables({})).toEqual([
    ['paku', 'false'],
    ['paku', 'false'],
  ]);
  expect(variables({ topicPrefix: 'vans', acceptAnyClientId: true })).toEqual([
    ['vans', 'true'],
    ['vans', 'true'],
  ]);
});

test('of the lifecycle events, the rules take only disconnections by a policy, of clients that can be devices', () => {
  const events = propertiesOf(serviceTemplate, 'AWS::IoT::TopicRule')
    .map(({ TopicRulePayload }) => (TopicRulePayload as { Sql: string }).Sql)
    .filter((sql) => sql.includes('$aws/'));
  expect(events.map((sql) => sql.replace(/^.* FROM /, ''))).toEqual([
    "'$aws/events/presence/disconnected/+' WHERE (disconnectReason = 'AUTH_ERROR' OR disconnectReason = 'FORBIDDEN_ACCESS') AND regexp_matches(clientId, '^[A-Za-z0-9_:-]{1,64}$')",
  ]);
});
