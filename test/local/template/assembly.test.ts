import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Secrets } from '../../../local/services/secrets/index.ts';
import { readAssembly } from '../../../local/template/assembly.ts';
import { type TestStack, writeCloudAssembly } from '../../support/local/cloud-assembly.ts';

const options = {
  apiUrl: 'http://127.0.0.1:1234',
  awsUrl: 'http://aws',
  secrets: new Secrets(join(mkdtempSync(join(tmpdir(), 'paku-assembly-')), 'secrets.json')),
};

const read = async (stacks: Readonly<Record<string, TestStack>>) =>
  readAssembly(await writeCloudAssembly(stacks), options);

const att = (logicalId: string, attribute = 'Arn') => ({ 'Fn::GetAtt': [logicalId, attribute] });

const QUEUE = { Type: 'AWS::SQS::Queue' };
const CODE = { S3Bucket: 'assets', S3Key: 'abc.zip' };

/** The resolved environment variables of a function. */
async function resolved(Variables: object, others: TestStack['Resources'] = {}): Promise<unknown> {
  const fn = { Type: 'AWS::Lambda::Function', Properties: { Code: CODE, Environment: { Variables } } };
  const assembly = await read({ Service: { Resources: { ...others, Fn: fn } } });
  return assembly.ofType('AWS::Lambda::Function')[0]?.properties.Environment;
}

describe('the cloud assembly', () => {
  it('resolves references to the values on this machine', async () => {
    const resources = {
      Work: QUEUE,
      Api: { Type: 'AWS::ApiGatewayV2::Api' },
      Secret: { Type: 'AWS::SecretsManager::Secret' },
      Attachment: {
        Type: 'AWS::SecretsManager::SecretTargetAttachment',
        Properties: { SecretId: { Ref: 'Secret' } },
      },
      Role: { Type: 'AWS::IAM::Role' },
      Bucket: { Type: 'AWS::S3::Bucket' },
    };
    const variables = {
      QUEUE: { Ref: 'Work' },
      QUEUE_ARN: att('Work'),
      API: att('Api', 'ApiEndpoint'),
      SECRET: { Ref: 'Attachment' },
      ROLE: att('Role'),
      BUCKET: { Ref: 'Bucket' },
      REGION: { Ref: 'AWS::Region' },
    };
    expect(await resolved(variables, resources)).toEqual({
      Variables: {
        QUEUE: 'http://aws/000000000000/Work',
        QUEUE_ARN: 'arn:aws:sqs:eu-west-1:000000000000:Work',
        API: 'http://127.0.0.1:1234',
        SECRET: expect.stringMatching(/:secret:Secret-\w{6}$/),
        ROLE: 'arn:aws:iam::000000000000:role/Role',
        BUCKET: 'bucket',
        REGION: 'eu-west-1',
      },
    });
  });

  it('resolves exports of another stack', async () => {
    const exported = { Value: { Ref: 'Bucket' }, Export: { Name: 'Data:Bucket' } };
    const fn = {
      Type: 'AWS::Lambda::Function',
      Properties: { Environment: { Variables: { BUCKET: { 'Fn::ImportValue': 'Data:Bucket' } } } },
    };
    const assembly = await read({
      Data: { Resources: { Bucket: { Type: 'AWS::S3::Bucket' } }, Outputs: { Bucket: exported } },
      Service: { Resources: { Fn: fn } },
    });
    const [{ properties } = {}] = assembly.ofType('AWS::Lambda::Function');
    expect(properties?.Environment).toEqual({ Variables: { BUCKET: 'bucket' } });
  });

  it("finds the asset of a function's code", async () => {
    const fn = { Type: 'AWS::Lambda::Function', Properties: { Code: CODE } };
    const folder = await writeCloudAssembly({ Service: { Resources: { Fn: fn } } });
    const assembly = readAssembly(folder, options);
    const [resource] = assembly.ofType('AWS::Lambda::Function');
    expect(resource && assembly.codeFolder(resource)).toBe(join(folder, 'asset.abc'));
  });

  it('omits resources that have no effect on one machine', async () => {
    const vpc = { Type: 'AWS::EC2::VPC', Properties: { Odd: { 'Fn::GetAZs': '' } } };
    expect((await read({ Data: { Resources: { Vpc: vpc } } })).ofType('AWS::EC2::VPC')).toEqual([]);
  });

  it.each([
    ['an unknown type', { Type: 'AWS::DynamoDB::Table' }, 'Data/Odd (AWS::DynamoDB::Table)'],
    ['an unknown property', { ...QUEUE, Properties: { FifoQueue: true } }, 'FifoQueue'],
    ['an unknown attribute', { ...QUEUE, Properties: { RedrivePolicy: att('Odd', 'QueueName') } }, 'QueueName'],
    ['an unknown reference', { ...QUEUE, Properties: { RedrivePolicy: { Ref: 'Nobody' } } }, 'Nobody'],
    ['an unknown export', { ...QUEUE, Properties: { RedrivePolicy: { 'Fn::ImportValue': 'x:y' } } }, 'x:y'],
    ['an unknown intrinsic', { ...QUEUE, Properties: { RedrivePolicy: { 'Fn::If': [] } } }, 'Fn::If'],
  ])('is refused for %s, and the error names the resource', async (_, resource, message) => {
    const reading = read({ Data: { Resources: { Odd: resource } } });
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow('Data/Odd');
  });

  it('is refused if two stacks use one logical id', async () => {
    const stacks = { Data: { Resources: { Same: QUEUE } }, Service: { Resources: { Same: QUEUE } } };
    await expect(read(stacks)).rejects.toThrow('Same is in Data and in Service');
  });
});
