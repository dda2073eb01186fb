import { DATABASE_ENGINE } from '../../../core/db/index.ts';
import { AwsAnswer, AwsCalls, elementOf } from './aws-calls.ts';
import { type AccountCheck, type Caller, missing, ok, type Planned, unknown, type Verdict } from './before.ts';

/** What the account itself lacks, asked of services without a client in this package. */
export function accountChecks(caller: Caller, { engineVersion }: Planned): AccountCheck[] {
  const aws = new AwsCalls(caller);
  const { region } = caller;
  return [
    { check: 'plan', needs: ['freetier:GetAccountPlanState'], run: () => checkPlan(aws) },
    { check: 'role of RDS', needs: ['iam:GetRole'], run: () => checkServiceLinkedRole(aws) },
    {
      check: 'database',
      needs: ['rds:DescribeOrderableDBInstanceOptions'],
      run: () => checkDatabase(aws, region, engineVersion),
    },
    { check: 'concurrency', needs: ['lambda:GetAccountSettings'], run: () => checkConcurrency(aws) },
    { check: 'CDK bootstrap', needs: ['ssm:GetParameter'], run: () => checkBootstrap(aws) },
  ];
}

/** The ARN of the caller. @throws AwsAnswer */
export async function readCaller(caller: Caller): Promise<string> {
  const answer = await new AwsCalls(caller).query('sts', '2011-06-15', 'GetCallerIdentity');
  return elementOf(answer, 'Arn') ?? 'an identity that AWS did not name';
}

/** An account on the free plan creates clusters by the express configuration only, which CloudFormation lacks. */
async function checkPlan(aws: AwsCalls): Promise<Verdict> {
  const target = 'AWSFreeTierService.GetAccountPlanState';
  const { accountPlanType: plan } = (await aws.json('freetier', '1.0', target, {})) as { accountPlanType?: string };
  if (plan === 'PAID') return ok('the account is on the paid plan');
  if (plan === 'FREE') {
    return missing(
      'the account is on the free plan, which refuses the database cluster and its backups',
      'change to the paid plan: aws freetier upgrade-account-plan --account-plan-type PAID',
    );
  }
  return unknown(`AWS names the plan ${JSON.stringify(plan)}`, 'look in the Billing console: the plan must be paid');
}

/** RDS makes the role with the first resource of an account, and then refuses that resource. */
async function checkServiceLinkedRole(aws: AwsCalls): Promise<Verdict> {
  const name = 'AWSServiceRoleForRDS';
  try {
    await aws.query('iam', '2010-05-08', 'GetRole', { RoleName: name });
    return ok(`${name} exists`);
  } catch (error) {
    if (!(error instanceof AwsAnswer) || error.name !== 'NoSuchEntity') throw error;
    const todo = 'aws iam create-service-linked-role --aws-service-name rds.amazonaws.com';
    return missing(`${name} does not exist, and the first database of an account fails without it`, todo);
  }
}

/** AWS withdraws minor versions from creation, and the Data API is not in every region. */
async function checkDatabase(aws: AwsCalls, region: string, version: string): Promise<Verdict> {
  const { engine, instanceClass } = DATABASE_ENGINE;
  const options = await aws.query('rds', '2014-10-31', 'DescribeOrderableDBInstanceOptions', {
    Engine: engine,
    EngineVersion: version,
    DBInstanceClass: instanceClass,
    MaxRecords: '20',
  });
  const offer = `${engine} ${version} as ${instanceClass}`;
  if (elementOf(options, 'EngineVersion') === undefined) {
    const list = `aws rds describe-orderable-db-instance-options --engine ${engine} --db-instance-class ${instanceClass} --query 'OrderableDBInstanceOptions[].EngineVersion'`;
    return missing(
      `${region} does not offer ${offer}`,
      `set database.engineVersion in cdk.json to a version that is offered, or choose another region; ${list} says what there is`,
    );
  }
  if (elementOf(options, 'SupportsHttpEndpoint') === 'false') {
    return missing(`${region} offers ${offer} without the Data API`, 'choose another region');
  }
  return ok(`${region} offers ${offer}`);
}

/** New accounts have 10. It was not tried whether the functions fit into so few. */
const ENOUGH_CONCURRENCY = 100;

async function checkConcurrency(aws: AwsCalls): Promise<Verdict> {
  const { AccountLimit = {} } = (await aws.get('lambda', '/2016-08-19/account-settings')) as {
    readonly AccountLimit?: { readonly ConcurrentExecutions?: number };
  };
  const { ConcurrentExecutions: limit = 0 } = AccountLimit;
  const detail = `${limit} functions may run at the same time`;
  if (limit >= ENOUGH_CONCURRENCY) return ok(detail);
  const todo =
    'enough for a trial perhaps; ask for more: aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000';
  return unknown(`${detail}, of all functions in the region`, todo);
}

/** The version that the templates require, which the CDK keeps in this parameter. */
const BOOTSTRAP_VERSION = 6;

async function checkBootstrap(aws: AwsCalls): Promise<Verdict> {
  const Name = '/cdk-bootstrap/hnb659fds/version';
  try {
    const { Parameter } = (await aws.json('ssm', '1.1', 'AmazonSSM.GetParameter', { Name })) as {
      readonly Parameter?: { readonly Value?: string };
    };
    const version = Number(Parameter?.Value);
    if (version >= BOOTSTRAP_VERSION) return ok(`version ${version}`);
    return missing(`version ${version}, needed is ${BOOTSTRAP_VERSION}`, 'npx cdk bootstrap');
  } catch (error) {
    if (!(error instanceof AwsAnswer) || error.name !== 'ParameterNotFound') throw error;
    return missing('the account has none in this region', 'npx cdk bootstrap');
  }
}
