import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { checkRegion, REGIONS_WITHOUT_IOT_TYPES } from '../../../lib/settings/index.ts';
import { synthesize } from '../../support/lib/templates.ts';

/** A Python that has the package cfn-lint; .ci/run makes one. */
const PYTHON = process.env.CFN_LINT_PYTHON ?? 'python3';
const isInstalled = spawnSync(PYTHON, ['-c', 'import cfnlint']).status === 0;
const run = promisify(execFile);

interface Finding {
  readonly Rule: { readonly Id: string };
  readonly Message: string;
  readonly Location: { readonly Path: readonly string[] };
}

/**
 * Findings that say nothing about a deployment: dependencies that the CDK states twice (W3005), and an output that is an
 * import (W6001).
 */
const IGNORED = 'W3005,W6001';

async function regions(): Promise<string[]> {
  const { stdout } = await run(PYTHON, ['-c', 'import cfnlint.helpers as h; print(" ".join(h.REGIONS))']);
  return stdout.trim().split(' ');
}

async function lint(templates: readonly object[], inRegions: readonly string[]): Promise<Finding[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cfn-lint-'));
  try {
    const files = templates.map((template, n) => {
      const file = join(folder, `${n}.json`);
      writeFileSync(file, JSON.stringify(template));
      return file;
    });
    const options = ['--format', 'json', '--ignore-checks', IGNORED, '--regions', ...inRegions];
    const args = [
      '-c',
      'from cfnlint.runner import main; main()',
      '--non-zero-exit-code',
      'none',
      ...options,
      '--',
      ...files,
    ];
    const { stdout } = await run(PYTHON, args, { maxBuffer: 64 * 1024 * 1024 });
    return JSON.parse(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const json = (stacks: { readonly dataTemplate: Template; readonly serviceTemplate: Template }) => [
  stacks.dataTemplate.toJSON(),
  stacks.serviceTemplate.toJSON(),
];

const VARIANTS: readonly (readonly [name: string, settings: object])[] = [
  ['the default settings', {}],
  ['commands by publish', { commandTransport: 'publish', acceptAnyClientId: true }],
  ['a database that never pauses', { idleSweepMinutes: 0, database: { minCapacity: 0.5, maxCapacity: 16 } }],
  [
    'data that is removed',
    { dataRemovalPolicy: 'destroy', database: { allowedSecurityGroupId: 'sg-0123456789abcdef0' } },
  ],
  [
    'an existing network, a domain and mails',
    {
      requireApproval: true,
      alarmEmail: 'fleet@example.com',
      customDomain: {
        domainName: 'ota.example.com',
        certificateArn: 'arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef',
      },
      vpc: {
        vpcId: 'vpc-0123456789abcdef0',
        availabilityZones: ['eu-west-1a', 'eu-west-1b'],
        isolatedSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
      },
    },
  ],
];

describe.skipIf(!isInstalled)(`cfn-lint${isInstalled ? '' : ` (${PYTHON} does not have cfn-lint)`}`, () => {
  test.each(VARIANTS)('finds nothing in the templates with %s', async (_, settings) => {
    expect(await lint(json(synthesize(settings)), ['eu-west-1', 'us-east-1'])).toEqual([]);
  });

  test('misses resource types only in the regions to which nothing can be deployed', async () => {
    const found = await lint(json(synthesize()), await regions());
    const missing = found.map(({ Rule, Message }) => `${Rule.Id} ${/in '(.+)'$/.exec(Message)?.[1] ?? Message}`);
    expect([...new Set(missing)].sort()).toEqual(REGIONS_WITHOUT_IOT_TYPES.map((region) => `E3006 ${region}`));
  });

  test('fails for a property that CloudFormation does not have and for a value that it does not take', async () => {
    const [data = {}, service] = json(synthesize()) as Record<
      string,
      Record<string, { Type: string; Properties: object }>
    >[];
    const faulty = structuredClone(data);
    const cluster = Object.values(faulty.Resources ?? {}).find(({ Type }) => Type === 'AWS::RDS::DBCluster');
    Object.assign(cluster?.Properties ?? {}, { BackupRetentionDays: 7, BackupRetentionPeriod: 99 });
    const found = await lint([faulty, service ?? {}], ['eu-west-1']);
    expect(found.map(({ Rule, Location }) => [Rule.Id, Location.Path.at(-1)]).sort()).toEqual([
      ['E3002', 'BackupRetentionDays'],
      ['E3034', 'BackupRetentionPeriod'],
    ]);
  });
});

test('a deployment to a region without the resource types is refused before CloudFormation is asked', () => {
  expect(() => checkRegion('eu-central-2')).toThrow(/no AWS::IoT::ThingType in eu-central-2/);
  expect(() => checkRegion('eu-west-1')).not.toThrow();
  expect(() => checkRegion(undefined)).not.toThrow();
});
