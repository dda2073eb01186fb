import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Endpoints } from '../../local/home/index.ts';
import { CliError, EXIT } from './failure.ts';
import { ROOT } from './root.ts';
import { DEFAULT_STACK, type Place, type Target, type TargetOptions } from './target.ts';

/** What the choice of a system depends on beside the flags. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** Folders whose `.local` is looked at, in this order, when PAKU_OTA_HOME is not set. */
  readonly folders: readonly string[];
}

const here = (): Surroundings => ({ env: process.env, folders: [process.cwd(), ROOT] });

/**
 * The local system where one runs, otherwise a deployment. Naming a profile, region or stack selects the deployment. A
 * home that was named and in which no system runs is an error, so that a command never acts on an account by accident.
 */
export function decidePlace(options: TargetOptions, { env, folders }: Surroundings = here()): Place {
  const { local = false, aws = false, profile, region, stack } = options;
  const named = profile !== undefined || region !== undefined || stack !== undefined;
  if (local && (aws || named)) {
    throw new CliError('--local does not go with --aws, --profile, --region or --stack', EXIT.usage);
  }
  const deployment: Place = {
    kind: 'aws',
    stack: stack ?? DEFAULT_STACK,
    ...(profile && { profile }),
    ...(region && { region }),
  };
  if (aws || named) return deployment;
  const homes = env.PAKU_OTA_HOME ? [env.PAKU_OTA_HOME] : folders.map((folder) => join(folder, '.local'));
  const home = homes.find((folder) => existsSync(endpointsFile(folder)));
  if (home !== undefined) return { kind: 'local', home };
  if (local || env.PAKU_OTA_HOME) throw noLocalSystem(homes.at(-1) ?? '');
  return deployment;
}

export async function findTarget(options: TargetOptions, surroundings = here()): Promise<Target> {
  const place = decidePlace(options, surroundings);
  if (place.kind === 'local') return readLocal(place.home, surroundings.env);
  // Imported on demand: loading the SDK takes longer than a call to the local system.
  const { findDeployment } = await import('./target-on-aws.ts');
  return findDeployment(place, options.aws === true || options.stack !== undefined);
}

const endpointsFile = (home: string) => join(home, 'endpoints.json');

const noLocalSystem = (home: string) =>
  new CliError(
    `no local system runs in ${home}: start one with npm start, name another with PAKU_OTA_HOME, or use --aws`,
  );

/** What the local system in a home listens on. @throws CliError when none runs there */
export function readEndpoints(home: string): Endpoints {
  if (!existsSync(endpointsFile(home))) throw noLocalSystem(home);
  return JSON.parse(readFileSync(endpointsFile(home), 'utf8')) as Endpoints;
}

/** `PAKU_OTA_USER=approver` acts as the second person of the local system. */
function readLocal(home: string, { PAKU_OTA_USER: user = 'operator' }: NodeJS.ProcessEnv): Target {
  const endpoints = readEndpoints(home);
  const { api, region, s3, approver } = endpoints;
  if (user !== 'operator' && user !== 'approver') {
    throw new CliError(`PAKU_OTA_USER is ${JSON.stringify(user)}: expected operator or approver`, EXIT.usage);
  }
  const { accessKeyId, secretAccessKey } = user === 'approver' ? approver : s3;
  const credentials = { accessKeyId, secretAccessKey };
  const name = `the local system in ${home}${user === 'approver' ? ' as the approver' : ''}`;
  return { kind: 'local', name, apiUrl: api.url, region, credentials, endpoints };
}
