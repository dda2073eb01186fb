import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Credentials } from '../kernel/index.ts';
import { writeFileAtomically } from '../kernel/index.ts';

/** Addresses and credentials for outside programs. The file is written when everything is up, and removed at the end. */
export interface Endpoints {
  readonly region: string;
  readonly mqtt: { readonly host: string; readonly port: number; readonly caFile: string };
  readonly s3: AwsEndpoint & { readonly bucket: string };
  readonly api: Credentials & { readonly url: string };
  /** Keys of a second person, who can approve what the first one requests. */
  readonly approver: Credentials;
  readonly dataApi: AwsEndpoint & ClusterTarget;
}

interface AwsEndpoint extends Credentials {
  readonly endpoint: string;
}

/** The database cluster as a client of the Data API addresses it. */
export interface ClusterTarget {
  readonly resourceArn: string;
  readonly database: string;
  /** The secret of the role `control`, with which operators use SQL. */
  readonly secretArn: string;
}

const ENDPOINTS_FILE = 'endpoints.json';
const LOCK_FILE = 'lock';

/** The folder of everything that survives a restart. A lock file keeps two runtimes from sharing it. */
export class Home {
  readonly #folder: string;

  /** @throws Error if another running process uses the folder */
  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(this.path('logs'), { recursive: true, mode: 0o700 });
    // A folder that existed keeps its permissions, and what is below is protected by this folder alone.
    this.#closeToOthers();
    const lock = this.path(LOCK_FILE);
    const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : process.pid;
    if (holder !== process.pid && isAlive(holder)) {
      throw new Error(
        `${folder} is in use by process ${holder}. Stop that one, or start this one elsewhere with PAKU_OTA_HOME=<folder>.`,
      );
    }
    rmSync(lock, { force: true });
    writeFileSync(lock, String(process.pid), { flag: 'wx', mode: 0o600 });
    rmSync(this.path(ENDPOINTS_FILE), { force: true });
  }

  /** @throws Error if the folder belongs to all users, such as /tmp, whose permissions must stay */
  #closeToOthers(): void {
    const { mode } = statSync(this.#folder);
    if ((mode & 0o1000) !== 0) {
      throw new Error(`${this.#folder} is shared by all users. Name a folder of your own with PAKU_OTA_HOME=<folder>.`);
    }
    if ((mode & 0o077) !== 0) chmodSync(this.#folder, 0o700);
  }

  path(...parts: string[]): string {
    return join(this.#folder, ...parts);
  }

  announce(endpoints: Endpoints): void {
    writeFileAtomically(this.path(ENDPOINTS_FILE), `${JSON.stringify(endpoints, null, 2)}\n`);
  }

  close(): void {
    rmSync(this.path(ENDPOINTS_FILE), { force: true });
    rmSync(this.path(LOCK_FILE), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
