import type { Credentials } from '../../api/signed-fetch.ts';
import type { Endpoints } from '../../local/home/index.ts';

export const DEFAULT_STACK = 'PakuOta';

/** The flags that select the system. */
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

/** An account and region, in which a deployment may or may not be. */
export interface Account extends Pick<Target, 'region' | 'credentials'> {
  /** Name of the service stack of the deployment that is meant. */
  readonly stack: string;
  /** What kept a call from AWS, as one sentence. */
  describe(error: Error): string;
}

/** Where the system is looked for, before anything is read over the network. */
export type Place =
  | { readonly kind: 'local'; readonly home: string }
  | { readonly kind: 'aws'; readonly profile?: string; readonly region?: string; readonly stack: string };
