import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../cli/paku-ota.mjs', import.meta.url));
const SOURCE = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `paku-ota` as a separate process without a terminal, for the system of a home folder. */
export class Cli {
  readonly #env: NodeJS.ProcessEnv;

  constructor(home: string, env: NodeJS.ProcessEnv = {}) {
    const { FORCE_COLOR: _, NO_COLOR: __, ...own } = process.env;
    this.#env = { ...own, PAKU_OTA_HOME: home, ...env };
  }

  run(...args: string[]): Promise<Ran> {
    return ended(this.start(...args));
  }

  /** Runs a command that must succeed. @returns its standard output @throws Error with its output if it fails */
  async print(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0) throw new Error(`paku-ota ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.print(...args, '--json')) as T;
  }

  /** Runs its sources with their output piped into another command; the exit code is that of the latter. */
  startInto(command: string, ...args: string[]): ChildProcess {
    const piped = ['-c', `"$@" | ${command}`, 'sh', process.execPath, '--import', 'tsx', SOURCE, ...args];
    return spawn('sh', piped, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  start(...args: string[]): ChildProcess {
    return spawn(process.execPath, [CLI, ...args], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
  }
}

export function ended(child: ChildProcess): Promise<Ran> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve({ code, ...output }));
  });
}
