import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStacksCommand, type Output } from '@aws-sdk/client-cloudformation';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { decidePlace, findTarget } from '../../../cli/session/find-target.ts';
import { findAccount } from '../../../cli/session/target-on-aws.ts';
import { mockClient } from '../../support/mock-client.ts';

let folder: string;
let home: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'paku-ota-target-'));
  home = join(folder, '.local');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** What is chosen depends on these alone, not on a local system that runs in this clone. */
const here = (env: NodeJS.ProcessEnv = {}) => ({ env, folders: [folder] });

function runHere(): void {
  mkdirSync(home, { recursive: true });
  const endpoints = {
    region: 'eu-west-1',
    api: { url: 'http://127.0.0.1:8481' },
    s3: { accessKeyId: 'key', secretAccessKey: 'secret', endpoint: '', bucket: '' },
    approver: { accessKeyId: 'second', secretAccessKey: 'secret2' },
  };
  writeFileSync(join(home, 'endpoints.json'), JSON.stringify(endpoints));
}

describe('where a command registerAction', () => {
  test('is the local system of the first folder in which one runs', () => {
    runHere();
    const folders = [join(folder, 'empty'), folder];
    expect(decidePlace({}, { env: {}, folders })).toEqual({ kind: 'local', home });
    expect(decidePlace({ local: true }, here())).toEqual({ kind: 'local', home });
  });

  test('is the local system in PAKU_OTA_HOME', () => {
    runHere();
    expect(decidePlace({}, { env: { PAKU_OTA_HOME: home }, folders: ['/'] })).toEqual({ kind: 'local', home });
  });

  test.each([
    [{ aws: true }, { kind: 'aws', stack: 'PakuOta' }],
    [{ profile: 'vans' }, { kind: 'aws', stack: 'PakuOta', profile: 'vans' }],
    [{ region: 'us-east-1' }, { kind: 'aws', stack: 'PakuOta', region: 'us-east-1' }],
    [{ stack: 'Test' }, { kind: 'aws', stack: 'Test' }],
  ])('is a deployment with %j, even where a local system runs', (options, place) => {
    runHere();
    expect(decidePlace(options, here())).toEqual(place);
  });

  test('is not a deployment when PAKU_OTA_HOME names a folder in which no system runs', () => {
    expect(() => decidePlace({}, here({ PAKU_OTA_HOME: home }))).toThrow(
      `no local system runs in ${home}: start one with npm start`,
    );
    expect(() => decidePlace({ local: true }, here({ PAKU_OTA_HOME: home }))).toThrow('no local system runs');
  });

  test('cannot be both --local and a deployment', () => {
    expect(() => decidePlace({ local: true, region: 'x' }, here())).toThrow('--local does not go with');
  });
});

test('a local system is read from its endpoints.json', async () => {
  runHere();
  expect(await findTarget({}, here())).toMatchObject({
    kind: 'local',
    name: `the local system in ${home}`,
    apiUrl: 'http://127.0.0.1:8481',
    region: 'eu-west-1',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
  });
});

test('the second person of a local system is named by PAKU_OTA_USER', async () => {
  runHere();
  expect(await findTarget({}, here({ PAKU_OTA_USER: 'approver' }))).toMatchObject({
    name: `the local system in ${home} as the approver`,
    credentials: { accessKeyId: 'second', secretAccessKey: 'secret2' },
  });
  await expect(findTarget({}, here({ PAKU_OTA_USER: 'ada' }))).rejects.toThrow('expected operator or approver');
});

describe('a deployment', () => {
  const cloudFormation = mockClient(CloudFormationClient);
  const stack = (outputs: Output[]) => ({
    Stacks: [
      { StackName: 'PakuOta', CreationTime: new Date(0), StackStatus: 'CREATE_COMPLETE' as const, Outputs: outputs },
    ],
  });
  beforeEach(() => cloudFormation.reset());
  const find = (options = {}) => findTarget({ aws: true, region: 'eu-west-1', ...options }, here());

  test('is read from the outputs of its stack', async () => {
    cloudFormation.on(DescribeStacksCommand, { StackName: 'Test' }).resolves(
      stack([
        { OutputKey: 'ApiUrl', OutputValue: 'https://abc.execute-api.eu-west-1.amazonaws.com/' },
        { OutputKey: 'FirmwareBucket', OutputValue: 'the-bucket' },
      ]),
    );
    const target = await find({ stack: 'Test' });
    expect(target).toMatchObject({
      kind: 'aws',
      name: 'stack Test in eu-west-1',
      apiUrl: 'https://abc.execute-api.eu-west-1.amazonaws.com',
      region: 'eu-west-1',
    });
    expect(target.outputs?.get('FirmwareBucket')).toBe('the-bucket');
  });

  test('has the credentials of the environment, as with every AWS tool', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIATEST');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    cloudFormation.on(DescribeStacksCommand).resolves(stack([{ OutputKey: 'ApiUrl', OutputValue: 'https://api' }]));
    const { credentials } = await find();
    expect(typeof credentials === 'function' && (await credentials())).toMatchObject({ accessKeyId: 'AKIATEST' });
  });

  test.each([
    ['a missing stack', new Error('Stack with id PakuOta does not exist'), 'there is no stack PakuOta'],
    [
      'missing credentials',
      Object.assign(new Error('none'), { name: 'CredentialsProviderError' }),
      'no AWS credentials were found: use --profile',
    ],
    [
      'expired keys',
      Object.assign(new Error('The security token included in the request is expired'), { name: 'ExpiredToken' }),
      'the AWS credentials have expired: sign in again',
    ],
    [
      'unknown keys',
      Object.assign(new Error('invalid'), { name: 'InvalidClientTokenId' }),
      'AWS does not accept the credentials: check the keys and the clock',
    ],
    [
      'a region that does not exist',
      Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND', hostname: 'cloudformation.moon-1.amazonaws.com' }),
      'cloudformation.moon-1.amazonaws.com cannot be found: is eu-west-1 a region of AWS',
    ],
    [
      'a denial',
      Object.assign(new Error('User x is not authorized'), { name: 'AccessDenied' }),
      'your identity may not do this (User x is not authorized)',
    ],
    ['another refusal', new Error('Rate exceeded'), 'AWS answered: Rate exceeded'],
  ])('that cannot be read because of %s is an error that says what to do', async (_, error, message) => {
    cloudFormation.on(DescribeStacksCommand).rejects(error);
    await expect(find()).rejects.toThrow(message);
  });

  describe('of a profile', () => {
    beforeEach(() => {
      const config = join(folder, 'config');
      writeFileSync(
        config,
        '[profile vans]\nregion = eu-west-1\nsso_session = ours\nsso_account_id = 111122223333\nsso_role_name = Ops\n[sso-session ours]\nsso_region = eu-west-1\nsso_start_url = https://ours.awsapps.com/start\n',
      );
      for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_REGION', 'AWS_DEFAULT_REGION'])
        vi.stubEnv(name, undefined);
      vi.stubEnv('HOME', folder);
      vi.stubEnv('AWS_CONFIG_FILE', config);
      vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    });
    const findAll = (options: object) => findAccount({ aws: true, ...options });

    test('without a sign-in is an error that names the command for it', async () => {
      await expect(findAll({ profile: 'vans' })).rejects.toThrow('aws sso login --profile vans');
    });

    test('that does not exist is an error that names it', async () => {
      await expect(findAll({ profile: 'bans', region: 'eu-west-1' })).rejects.toThrow(
        'the profile bans gives no AWS credentials: aws configure list-profiles',
      );
    });

    test('without any credentials is an error that says how to get some', async () => {
      await expect(findAll({ region: 'eu-west-1' })).rejects.toThrow('no AWS credentials were found: use --profile');
    });

    test('without a region is an error that says where one may be set', async () => {
      vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIATEST');
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
      await expect(findAll({})).rejects.toThrow('no AWS region is set: use --region, AWS_REGION or a profile');
    });
  });

  test('cannot be a stack without the output ApiUrl', async () => {
    cloudFormation.on(DescribeStacksCommand).resolves(stack([{ OutputKey: 'Other', OutputValue: 'x' }]));
    await expect(find()).rejects.toThrow('has no output ApiUrl: name the service stack with --stack');
  });

  test('that is missing, as is a local system, is an error that names both ways to get one', async () => {
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    cloudFormation
      .on(DescribeStacksCommand)
      .rejects(Object.assign(new Error('none'), { name: 'CredentialsProviderError' }));
    await expect(findTarget({}, here())).rejects.toThrow(
      /no local system runs here and no AWS deployment could be found: start the local one with npm start .*PAKU_OTA_HOME.*, or name a deployment/,
    );
  });
});
