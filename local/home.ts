import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from './files.ts';

/** What outside programs connect to; written when everything is up, removed at the end. */
export interface Endpoints {
  readonly region: string;
  readonly mqtt: { readonly host: string; readonly port: number; readonly caFile: string };
  readonly s3: {
    readonly endpoint: string;
    readonly bucket: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
  };
  readonly api: { readonly url: string };
  readonly dataApi: {
    readonly endpoint: string;
    readonly resourceArn: string;
    readonly secretArn: string;
    readonly database: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
  };
}

export const ENDPOINTS_FILE = 'endpoints.json';
const LOCK_FILE = 'lock';

/** The folder that holds everything that survives a restart. Two runtimes never share one. */
export class Home {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @throws Error when a running process has the folder */
  static open(folder: string): Home {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const part of ['logs', 's3', 'certificates']) mkdirSync(join(folder, part), { recursive: true, mode: 0o700 });
    const lock = join(folder, LOCK_FILE);
    const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : undefined;
    if (holder !== undefined && holder !== process.pid && isAlive(holder)) {
      throw new Error(
        `${folder} is in use by process ${holder}. Stop that one, or start this one elsewhere with PAKU_OTA_HOME=<folder>.`,
      );
    }
    rmSync(lock, { force: true });
    writeFileSync(lock, String(process.pid), { flag: 'wx', mode: 0o600 });
    rmSync(join(folder, ENDPOINTS_FILE), { force: true });
    return new Home(folder);
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  announce(endpoints: Endpoints): void {
    writeWhole(this.path(ENDPOINTS_FILE), `${JSON.stringify(endpoints, null, 2)}\n`);
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
