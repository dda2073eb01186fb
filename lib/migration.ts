import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { CustomResource, Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { Alarms } from './alarms.ts';
import type { Database } from './database.ts';
import { OtaFunction } from './ota-function.ts';
import type { Settings } from './settings.ts';

const schemaFolder = new URL('../schema/', import.meta.url);

export interface MigrationProps {
  readonly settings: Settings;
  readonly alarms: Alarms;
  readonly database: Database;
}

/** Brings the schema up to date in each deployment, before any function that relies on it. */
export class Migration extends Construct {
  constructor(scope: Construct, id: string, { settings, alarms, database }: MigrationProps) {
    super(scope, id);
    const timeout = Duration.minutes(10);
    const fn = new OtaFunction(this, 'Function', { name: 'migrate', settings, alarms, timeout });
    database.grantOwner(fn);
    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::PakuOtaMigration',
      serviceToken: fn.functionArn,
      // Without it CloudFormation would wait an hour for a function that died.
      serviceTimeout: timeout,
      properties: { schema: schemaFingerprint() },
    });
    // The role's grants are resources of their own: without this the function may run before it has them.
    resource.node.addDependency(fn);
  }
}

/** Changes with the migrations, and with it the resource, which makes CloudFormation run them. */
function schemaFingerprint(): string {
  const files = readdirSync(schemaFolder)
    .filter((name) => /^\d{6}_.*\.sql$/.test(name))
    .sort();
  const hash = createHash('sha256');
  for (const name of files) hash.update(name).update(readFileSync(new URL(name, schemaFolder)));
  return hash.digest('hex').slice(0, 16);
}
