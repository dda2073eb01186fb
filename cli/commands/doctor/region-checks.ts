import { CloudFormationClient, DescribeStacksCommand, DescribeTypeCommand } from '@aws-sdk/client-cloudformation';
import { IoTClient, paginateListTopicRules } from '@aws-sdk/client-iot';
import {
  type AccountCheck,
  type Caller,
  missing,
  ok,
  type Planned,
  REGIONAL_TYPES,
  unknown,
  type Verdict,
} from './before.ts';
import { sendToAbsentClient } from './check-aws.ts';

/** What the region lacks, or has already, asked with the clients of the SDK. */
export function regionChecks(caller: Caller, planned: Planned): AccountCheck[] {
  const client = { ...caller, maxAttempts: 2 };
  const cloudFormation = new CloudFormationClient(client);
  const iot = new IoTClient(client);
  return [
    {
      check: 'resource types',
      needs: ['cloudformation:DescribeType'],
      run: () => checkTypes(cloudFormation, caller.region),
    },
    {
      check: 'direct messages',
      needs: ['iot:SendDirectMessage'],
      run: () => checkDirectMessages(caller, planned),
    },
    { check: 'topics', needs: ['iot:ListTopicRules'], run: () => checkTopics(iot, planned) },
    {
      check: 'stack',
      needs: ['cloudformation:DescribeStacks'],
      run: () => checkStack(cloudFormation, planned),
    },
  ];
}

async function checkTypes(client: CloudFormationClient, region: string): Promise<Verdict> {
  const absent = await Promise.all(
    REGIONAL_TYPES.map((TypeName) =>
      client.send(new DescribeTypeCommand({ Type: 'RESOURCE', TypeName })).then(
        () => [],
        (error: Error) => {
          if (error.name !== 'TypeNotFoundException') throw error;
          return [TypeName];
        },
      ),
    ),
  );
  const names = absent.flat();
  if (names.length === 0) return ok(`CloudFormation has all that may be lacking in ${region}`);
  return missing(`CloudFormation lacks ${names.join(', ')} in ${region}`, 'choose another region');
}

async function checkDirectMessages(caller: Caller, { topicPrefix, commandTransport }: Planned): Promise<Verdict> {
  if (commandTransport === 'publish') return ok('not used: commandTransport is publish');
  const answer = await sendToAbsentClient(caller, topicPrefix);
  if (answer.kind === 'absent') return ok('SendDirectMessage answers, for a client that does not exist');
  if (answer.kind === 'denied' && answer.error !== undefined) throw answer.error;
  return unknown(
    `SendDirectMessage answered ${answer.message}`,
    'if the region lacks it, set commandTransport to publish',
  );
}

/** Two deployments with one prefix would both take each message. */
async function checkTopics(client: IoTClient, { stack, topicPrefix }: Planned): Promise<Verdict> {
  const ours = stack.replaceAll('-', '_').toLowerCase();
  const others: string[] = [];
  for await (const { rules = [] } of paginateListTopicRules({ client }, { maxResults: 100 })) {
    for (const { ruleName = '', topicPattern = '' } of rules) {
      if (topicPattern.startsWith(`${topicPrefix}/`) && !ruleName.toLowerCase().startsWith(ours)) others.push(ruleName);
    }
  }
  if (others.length === 0) return ok(`no rule of others takes messages below ${topicPrefix}/`);
  return unknown(
    `the rules ${others.slice(0, 5).join(', ')} take messages below ${topicPrefix}/`,
    'if they are those of another deployment, set another topicPrefix; other rules do no harm',
  );
}

async function checkStack(client: CloudFormationClient, { stack }: Planned): Promise<Verdict> {
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
    const status = Stacks[0]?.StackStatus ?? '';
    if (status === 'ROLLBACK_COMPLETE' || status === 'ROLLBACK_FAILED') {
      const todo = `aws cloudformation delete-stack --stack-name ${stack}`;
      return missing(`${stack} is what a first deployment that failed has left (${status})`, todo);
    }
    return ok(`${stack} exists already (${status}): the deployment will change it`);
  } catch (error) {
    if (!/does not exist/.test((error as Error).message)) throw error;
    return ok(`there is no stack ${stack} yet`);
  }
}
