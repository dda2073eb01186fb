import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStacksCommand, type Output } from '@aws-sdk/client-cloudformation';
import { mockClient } from 'aws-sdk-client-mock';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { decidePlace, findTarget } from '../../../cli/session/target.ts';

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

function runHere(): void {
  mkdirSync(home, { recursive: true });
  const endpoints = {
    region: 'eu-west-1',
    api: { url: 'http://127.0.0.1:8481' },
    s3: { accessKeyId: 'key', secretAccessKey: 'secret', endpoint: '', bucket: '' },
  };
  writeFileSync(join(home, 'endpoints.json'), JSON.stringify(endpoints));
}

describe('where a command acts', () => {
  test('the local system that runs in this folder, or in the one that PAKU_OTA_HOME names', () => {
    runHere();
    expect(decidePlace({}, {}, folder)).toEqual({ kind: 'local', home });
    expect(decidePlace({}, { PAKU_OTA_HOME: home }, '/')).toEqual({ kind: 'local', home });
    expect(decidePlace({ local: true }, {}, folder)).toEqual({ kind: 'local', home });
  });

  test.each([
    [{ aws: true }, { kind: 'aws', stack: 'PakuOta' }],
    [{ profile: 'vans' }, { kind: 'aws', stack: 'PakuOta', profile: 'vans' }],
    [{ region: 'us-east-1' }, { kind: 'aws', stack: 'PakuOta', region: 'us-east-1' }],
    [{ stack: 'Test' }, { kind: 'aws', stack: 'Test' }],
  ])('%j means a deployment, even where a local system runs', (options, place) => {
    runHere();
    expect(decidePlace(options, {}, folder)).toEqual(place);
  });

  test('a home that is named and empty is an error, never a reason to act on an account', () => {
    expect(() => decidePlace({}, { PAKU_OTA_HOME: home }, folder)).toThrow(
      `no local system runs in ${home}: start one with npm start`,
    );
    expect(() => decidePlace({ local: true }, { PAKU_OTA_HOME: home }, folder)).toThrow('no local system runs');
  });

  test('--local and a deployment exclude each other', () => {
    expect(() => decidePlace({ local: true, region: 'x' }, {}, folder)).toThrow('--local does not go with');
  });
});

test('a local system is described by its endpoints', async () => {
  runHere();
  expect(await findTarget({}, {}, folder)).toMatchObject({
    kind: 'local',
    name: `the local system in ${home}`,
    apiUrl: 'http://127.0.0.1:8481',
    region: 'eu-west-1',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
  });
});

describe('a deployment', () => {
  const cloudFormation = mockClient(CloudFormationClient);
  const stack = (outputs: Output[]) => ({
    Stacks: [
      { StackName: 'PakuOta', CreationTime: new Date(0), StackStatus: 'CREATE_COMPLETE' as const, Outputs: outputs },
    ],
  });
  beforeEach(() => cloudFormation.reset());
  const find = (options = {}) => findTarget({ aws: true, region: 'eu-west-1', ...options }, {}, folder);

  test('is found by the outputs of its stack', async () => {
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

  test('signs with the credentials of the environment, as every AWS tool does', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIATEST');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    cloudFormation.on(DescribeStacksCommand).resolves(stack([{ OutputKey: 'ApiUrl', OutputValue: 'https://api' }]));
    const { credentials } = await find();
    expect(typeof credentials === 'function' && (await credentials())).toMatchObject({ accessKeyId: 'AKIATEST' });
  });

  test.each([
    ['a stack that is not there', new Error('Stack with id PakuOta does not exist'), 'there is no stack PakuOta'],
    [
      'no credentials',
      Object.assign(new Error('none'), { name: 'CredentialsProviderError' }),
      'no AWS credentials were found: use --profile',
    ],
    ['a refusal', new Error('User x is not authorized'), 'AWS answered: User x is not authorized'],
  ])('%s is said with what to do', async (_, error, message) => {
    cloudFormation.on(DescribeStacksCommand).rejects(error);
    await expect(find()).rejects.toThrow(message);
  });

  test('the stack of the data is not the one with the API', async () => {
    cloudFormation.on(DescribeStacksCommand).resolves(stack([{ OutputKey: 'Other', OutputValue: 'x' }]));
    await expect(find()).rejects.toThrow('has no output ApiUrl: name the service stack with --stack');
  });

  test('neither a local system nor a deployment: both ways out are named', async () => {
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    cloudFormation
      .on(DescribeStacksCommand)
      .rejects(Object.assign(new Error('none'), { name: 'CredentialsProviderError' }));
    await expect(findTarget({}, {}, folder)).rejects.toThrow(
      /no local system runs here and no AWS deployment could be found: start the local one with npm start .*PAKU_OTA_HOME.*, or name a deployment/,
    );
  });
});
