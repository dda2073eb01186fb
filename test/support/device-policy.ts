import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileTopicRule, type TopicRule } from '../../local/services/iot/index.ts';
import { Secrets } from '../../local/services/secrets/index.ts';
import { readAssembly } from '../../local/template/index.ts';
import { ASSEMBLY } from './assembly.ts';

/** The IoT policies of the templates by logical id, and the topic rules. */
export function readIotResources(): { policies: ReadonlyMap<string, object>; rules: readonly TopicRule[] } {
  const secrets = new Secrets(join(mkdtempSync(join(tmpdir(), 'paku-ota-policy-')), 'secrets.json'));
  const assembly = readAssembly(ASSEMBLY, { apiUrl: 'http://api', awsUrl: 'http://aws', secrets });
  const policies = assembly
    .ofType('AWS::IoT::Policy')
    .map(({ logicalId, properties }) => [logicalId, properties.PolicyDocument as object] as const);
  const rules = assembly.ofType('AWS::IoT::TopicRule').map(({ properties }) => {
    const { Sql, AwsIotSqlVersion } = properties.TopicRulePayload as { Sql: string; AwsIotSqlVersion: string };
    return compileTopicRule(Sql, AwsIotSqlVersion);
  });
  return { policies: new Map(policies), rules };
}

/** The policy of every device certificate. */
export function devicePolicy(): object {
  const { policies } = readIotResources();
  const [, document] = [...policies].find(([id]) => id.startsWith('DeviceIdentityPolicy')) ?? [];
  if (document === undefined) throw new Error('The templates have no device policy.');
  return document;
}
