import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { type DatabaseRole, migrate, type RolePasswords } from '../../core/db/index.ts';
import { ENV } from '../../core/util/index.ts';
import { migrations } from '../../schema/index.ts';
import { openDatabase } from '../shared/database.ts';
import { requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { readSecret } from '../shared/secrets.ts';

/** A new cluster takes a while to answer, a paused one up to a minute. Waiting is better than a failed deployment. */
const RESUME_TIMEOUT_MS = 180_000;
const PHYSICAL_ID = 'paku-ota-schema';

/**
 * The custom resource that migrates the schema. Delete does nothing. A schema newer than this bundle (CloudFormation is
 * rolling back) is left unchanged, because each migration works with the release before it. CloudFormation always gets
 * a response, because a resource that does not respond blocks its stack for an hour.
 */
export async function handler(event: CloudFormationCustomResourceEvent): Promise<void> {
  const outcome = await run(event).then(
    () => ({ Status: 'SUCCESS' as const }),
    (error: unknown) => ({ Status: 'FAILED' as const, Reason: error instanceof Error ? error.message : String(error) }),
  );
  logger.info('migration answered', { ...outcome });
  const { StackId, RequestId, LogicalResourceId } = event;
  const answer = { ...outcome, PhysicalResourceId: PHYSICAL_ID, StackId, RequestId, LogicalResourceId };
  const response = await fetch(event.ResponseURL, { method: 'PUT', body: JSON.stringify(answer) });
  if (!response.ok) throw new Error(`CloudFormation did not accept the response: HTTP ${response.status}`);
}

async function run(event: CloudFormationCustomResourceEvent): Promise<void> {
  if (event.RequestType === 'Delete') return;
  const database = openDatabase({ resumeTimeoutMs: RESUME_TIMEOUT_MS });
  const { applied, schemaVersion } = await migrate(database, migrations, await readPasswords());
  const newest = migrations.at(-1)?.version ?? 0;
  if (schemaVersion > newest)
    logger.warn('the schema is newer than this release and was left unchanged', { schemaVersion, newest });
  else logger.info('schema is up to date', { applied, schemaVersion });
}

/** The passwords that the secrets of the functions' roles hold now. */
async function readPasswords(): Promise<RolePasswords> {
  const arns = JSON.parse(requireEnv(ENV.roleSecretArns)) as Record<DatabaseRole, string>;
  const passwordOf = async (role: DatabaseRole) =>
    (JSON.parse(await readSecret(arns[role])) as { password: string }).password;
  return {
    public: await passwordOf('public'),
    ingest: await passwordOf('ingest'),
    control: await passwordOf('control'),
  };
}
