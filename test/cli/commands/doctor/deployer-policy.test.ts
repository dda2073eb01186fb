import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { accountChecks } from '../../../../cli/commands/doctor/account-checks.ts';
import { regionChecks } from '../../../../cli/commands/doctor/region-checks.ts';
import { problemsOf } from '../../../support/lib/service-authorization.ts';

const POLICY = readFileSync(new URL('../../../../docs/policies/deployer.json', import.meta.url), 'utf8')
  .replaceAll('REGION', 'eu-west-1')
  .replaceAll('ACCOUNT', '111122223333');

/** The actions of AWS IoT that `uninstall` calls, by the commands and paginators that its code imports. */
function actionsOfUninstall(): string[] {
  const code = readFileSync(new URL('../../../../cli/commands/uninstall/registry.ts', import.meta.url), 'utf8');
  const [, imported = ''] = /import \{([^}]+)\} from '@aws-sdk\/client-iot'/.exec(code) ?? [];
  const names = [...imported.matchAll(/\b(?:(\w+)Command|paginate(\w+))\b/g)].map(
    ([, command, list]) => command ?? list,
  );
  return names.map((name) => `iot:${name}`);
}

test('deployer.json allows what cdk deploy, doctor --before and uninstall call, on resources that the actions take', async () => {
  const caller = { region: 'eu-west-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const planned = { stack: 'PakuOta', topicPrefix: 'paku', commandTransport: 'direct', engineVersion: '17.7' } as const;
  const called = [
    // https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html: deployments assume the roles of the bootstrap.
    'sts:AssumeRole',
    'cloudformation:DescribeStacks',
    ...[...accountChecks(caller, planned), ...regionChecks(caller, planned)].flatMap(({ needs }) => needs),
    ...actionsOfUninstall(),
  ];
  expect(called.length).toBeGreaterThan(20);
  const { Statement } = JSON.parse(POLICY) as {
    Statement: { Action: string | string[]; Resource: string }[];
  };
  const grants = Statement.flatMap(({ Action, Resource }) =>
    [Action].flat().map((action) => ({ action, resource: Resource })),
  );
  expect(grants.map(({ action }) => action).toSorted()).toEqual([...new Set(called)].toSorted());
  const problems = await Promise.all(grants.map(({ action, resource }) => problemsOf(action, resource, [])));
  expect(problems.flat()).toEqual([]);
});
