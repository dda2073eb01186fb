import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Credentials } from '../../api/signed-fetch.ts';
import type { Endpoints } from '../../local/home/index.ts';
import { CliError, EXIT } from './failure.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const DEFAULT_STACK = 'PakuOta';

/** The flags that say which system is meant. */
export interface TargetOptions {
  readonly local?: boolean;
  readonly aws?: boolean;
  readonly profile?: string;
  readonly region?: string;
  readonly stack?: string;
}

/** The system that commands act on. */
export interface Target {
  readonly kind: 'local' | 'aws';
  /** For people: `the local system in .local`, `stack PakuOta in eu-west-1`. */
  readonly name: string;
  readonly apiUrl: string;
  readonly region: string;
  readonly credentials: Credentials | (() => Promise<Credentials>);
  /** Of the local system. */
  readonly endpoints?: Endpoints;
  /** Of the deployment's stack. */
  readonly outputs?: ReadonlyMap<string, string>;
}

/** Where to look, before anything is read over the network. */
export type Place =
  | { readonly kind: 'local'; readonly home: string }
  | { readonly kind: 'aws'; readonly profile?: string; readonly region?: string; readonly stack: string };

/**
 * The local system where one runs, else a deployment. Naming a profile, region or stack means the deployment; a home
 * that was named and in which nothing runs is an error, never a reason to act on an account.
 */
export function decidePlace(options: TargetOptions, env: NodeJS.ProcessEnv, workingFolder: string): Place {
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
  const homes = env.PAKU_OTA_HOME ? [env.PAKU_OTA_HOME] : [join(workingFolder, '.local'), join(ROOT, '.local')];
  const home = homes.find((folder) => existsSync(endpointsFile(folder)));
  if (home !== undefined) return { kind: 'local', home };
  if (local || env.PAKU_OTA_HOME) {
    throw new CliError(
      `no local system runs in ${homes.at(-1)}: start one with npm start, name another with PAKU_OTA_HOME, or use --aws`,
    );
  }
  return deployment;
}

export async function findTarget(
  options: TargetOptions,
  env: NodeJS.ProcessEnv = process.env,
  workingFolder = process.cwd(),
): Promise<Target> {
  const place = decidePlace(options, env, workingFolder);
  if (place.kind === 'local') return readLocal(place.home);
  // Loaded where it is needed: the SDK takes longer to load than a call to the local system takes.
  const { findDeployment } = await import('./target-on-aws.ts');
  return findDeployment(place, options.aws === true || options.stack !== undefined);
}

const endpointsFile = (home: string) => join(home, 'endpoints.json');

function readLocal(home: string): Target {
  const endpoints = JSON.parse(readFileSync(endpointsFile(home), 'utf8')) as Endpoints;
  const { api, region, s3 } = endpoints;
  const { accessKeyId, secretAccessKey } = s3;
  const credentials = { accessKeyId, secretAccessKey };
  return { kind: 'local', name: `the local system in ${home}`, apiUrl: api.url, region, credentials, endpoints };
}
