import type { Answer, AwsRequest, AwsService } from '../../local/kernel/index.ts';

/**
 * Answers of an account to `doctor --before`, in the form of the API models of botocore 1.44.8. Botocore read each of them
 * from these endpoints. The account lacks what its fields say.
 */
export interface FakeAccount {
  /** Of GetAccountPlanState (AWS Billing API reference). */
  plan: 'FREE' | 'PAID';
  hasRdsRole: boolean;
  /** Versions that RDS offers as db.serverless. */
  engines: readonly string[];
  hasDataApi: boolean;
  concurrency: number;
  /** Version of the CDK's bootstrap; null if there is none. */
  bootstrap: string | null;
  /** Resource types that CloudFormation lacks. */
  absentTypes: readonly string[];
  /** Name and topic filter of each rule. */
  rules: readonly (readonly [name: string, filter: string])[];
  /** The status of the stack; null if there is none. */
  stack: string | null;
  outputs: Readonly<Record<string, string>>;
  /** What SendDirectMessage answers about a client that is not there. */
  directMessage: string;
}

/** An account that lacks nothing. */
export const completeAccount = (): FakeAccount => ({
  plan: 'PAID',
  hasRdsRole: true,
  engines: ['17.7'],
  hasDataApi: true,
  concurrency: 1000,
  bootstrap: '27',
  absentTypes: [],
  rules: [['weather', 'weather/+']],
  stack: null,
  outputs: {},
  directMessage: 'ResourceNotFoundException',
});

const xml = (status: number, body: string): Answer => ({ status, headers: { 'content-type': 'text/xml' }, body });
const json = (status: number, body: object, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});
const queryError = (status: number, code: string, message: string) =>
  xml(
    status,
    `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
  );
const queryAnswer = (action: string, result: string) =>
  xml(
    200,
    `<${action}Response><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`,
  );

const textOf = async ({ body }: AwsRequest) => Buffer.concat(await body.toArray()).toString();

/** A service with the query protocol that answers one action per call, if the identity may do it. */
function queryService(service: string, answer: (action: string, input: URLSearchParams) => Answer): AwsService {
  return {
    async handle(request) {
      const input = new URLSearchParams(await textOf(request));
      const action = input.get('Action') ?? '';
      if (request.identity.allows(`${service}:${action}`, '*')) return answer(action, input);
      return queryError(403, 'AccessDenied', `User: ${request.identity.arn} is not authorized to perform: ${action}`);
    },
  };
}

function jsonService(service: string, answer: (action: string, input: Record<string, string>) => Answer): AwsService {
  return {
    async handle(request) {
      const action = request.headers['x-amz-target']?.split('.')[1] ?? '';
      if (!request.identity.allows(`${service}:${action}`, '*')) {
        return json(400, { __type: 'com.amazon.coral.service#AccessDeniedException', Message: `may not ${action}` });
      }
      return answer(action, JSON.parse(await textOf(request)) as Record<string, string>);
    },
  };
}

/** A service with a REST protocol. @param action of the path */
function restService(action: string, answer: (request: AwsRequest) => Answer): AwsService {
  return {
    async handle(request) {
      if (request.identity.allows(action, '*')) return answer(request);
      return json(403, { message: `may not ${action}` }, { 'x-amzn-errortype': 'AccessDeniedException' });
    },
  };
}

const ROLE = `<Role><Path>/aws-service-role/rds.amazonaws.com/</Path><RoleName>AWSServiceRoleForRDS</RoleName><RoleId>AROA1</RoleId><Arn>arn:aws:iam::111122223333:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%7B%7D</AssumeRolePolicyDocument></Role>`;

function orderable({ engines, hasDataApi }: FakeAccount, version: string | null): string {
  const options = engines
    .filter((engine) => version === null || engine === version)
    .map(
      (engine) =>
        `<OrderableDBInstanceOption><Engine>aurora-postgresql</Engine><EngineVersion>${engine}</EngineVersion><DBInstanceClass>db.serverless</DBInstanceClass><SupportsHttpEndpoint>${hasDataApi}</SupportsHttpEndpoint></OrderableDBInstanceOption>`,
    );
  return `<OrderableDBInstanceOptions>${options.join('')}</OrderableDBInstanceOptions>`;
}

const outputsOf = ({ outputs }: FakeAccount) =>
  Object.entries(outputs)
    .map(([key, value]) => `<member><OutputKey>${key}</OutputKey><OutputValue>${value}</OutputValue></member>`)
    .join('');

function cloudFormation(account: FakeAccount): AwsService {
  return queryService('cloudformation', (action, input) => {
    if (action === 'DescribeType') {
      const name = input.get('TypeName') ?? '';
      if (!account.absentTypes.includes(name)) {
        return queryAnswer(action, `<TypeName>${name}</TypeName><Type>RESOURCE</Type>`);
      }
      return queryError(404, 'TypeNotFoundException', `The type '${name}' cannot be found.`);
    }
    const stack = input.get('StackName') ?? '';
    if (account.stack === null) return queryError(400, 'ValidationError', `Stack with id ${stack} does not exist`);
    return queryAnswer(
      action,
      `<Stacks><member><StackName>${stack}</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>${account.stack}</StackStatus><Outputs>${outputsOf(account)}</Outputs></member></Stacks>`,
    );
  });
}

/** The services of the region, and those with one endpoint for all regions. */
export function accountServices(account: FakeAccount) {
  const regional: Record<string, AwsService> = {
    sts: queryService('sts', (action) =>
      queryAnswer(
        action,
        '<Arn>arn:aws:iam::111122223333:user/ada</Arn><UserId>AIDA1</UserId><Account>111122223333</Account>',
      ),
    ),
    rds: queryService('rds', (action, input) => queryAnswer(action, orderable(account, input.get('EngineVersion')))),
    ssm: jsonService('ssm', (_, { Name }) =>
      account.bootstrap === null
        ? json(400, { __type: 'ParameterNotFound', message: `Parameter ${Name} not found.` })
        : json(200, { Parameter: { Name, Type: 'String', Value: account.bootstrap, Version: 1 } }),
    ),
    lambda: restService('lambda:GetAccountSettings', ({ path }) =>
      path === '/2016-08-19/account-settings'
        ? json(200, {
            AccountLimit: {
              ConcurrentExecutions: account.concurrency,
              UnreservedConcurrentExecutions: account.concurrency,
            },
            AccountUsage: { FunctionCount: 0 },
          })
        : json(404, { message: path }, { 'x-amzn-errortype': 'ResourceNotFoundException' }),
    ),
    cloudformation: cloudFormation(account),
    iot: restService('iot:ListTopicRules', () =>
      json(200, { rules: account.rules.map(([ruleName, topicPattern]) => ({ ruleName, topicPattern })) }),
    ),
    iotdata: restService('iot:SendDirectMessage', () =>
      json(404, { message: 'no such client' }, { 'x-amzn-errortype': account.directMessage }),
    ),
  };
  const global: Record<string, AwsService> = {
    iam: queryService('iam', (action, input) =>
      account.hasRdsRole
        ? queryAnswer(action, ROLE)
        : queryError(404, 'NoSuchEntity', `The role with name ${input.get('RoleName')} cannot be found.`),
    ),
    freetier: jsonService('freetier', () =>
      json(200, {
        accountId: '111122223333',
        accountPlanType: account.plan,
        accountPlanStatus: 'ACTIVE',
        accountPlanRemainingCredits: { amount: 135.71, unit: 'USD' },
        accountPlanExpirationDate: '2026-10-21T01:55:05Z',
      }),
    ),
  };
  return { regional, global };
}
