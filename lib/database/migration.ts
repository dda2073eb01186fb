import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { CustomResource, Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { Settings } from '../settings/index.ts';
import { OtaFunction } from '../shared/index.ts';
import type { Database } from './database.ts';

const schemaFolder = new URL('../../schema/', import.meta.url);

export interface MigrationProps {
  readonly settings: Settings;
  readonly database: Database;
}

/**
 * Migrates the schema in each deployment that changes it, before any function that relies on it is deployed. It has no alarm: a migration
 * that fails is answered to CloudFormation, which does not count as an error of the function, and fails the deployment.
 */
export class Migration extends Construct {
  constructor(scope: Construct, id: string, { settings, database }: MigrationProps) {
    super(scope, id);
    const timeout = Duration.minutes(10);
    const fn = new OtaFunction(this, 'Function', { name: 'migrate', settings, timeout });
    database.grantOwner(fn);
    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::PakuOtaMigration',
      serviceToken: fn.functionArn,
      // The default is an hour, and a function that died does not answer.
      serviceTimeout: timeout,
      properties: { schema: schemaFingerprint() },
    });
    // The role's policy is a resource of its own: without this dependency the function may run before it has its grants.
    resource.node.addDependency(fn);
  }
}

/** A hash of all migrations. It is a property of the custom resource, so a new migration makes CloudFormation run it. */
function schemaFingerprint(): string {
  const files = readdirSync(schemaFolder)
    .filter((name) => /^\d{6}_.*\.sql$/.test(name))
    .sort();
  const hash = createHash('sha256');
  for (const name of files) hash.update(name).update(readFileSync(new URL(name, schemaFolder)));
  return hash.digest('hex').slice(0, 16);
}
