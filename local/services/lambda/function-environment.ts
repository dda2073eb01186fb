import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

export interface FunctionOptions {
  readonly name: string;
  readonly arn: string;
  /** Folder with index.mjs, as bundled for Lambda. */
  readonly codeFolder: string;
  /** The whole environment of the function: nothing of this process's own leaks in. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  /** Gets what the function writes to stdout and stderr. */
  readonly logFile: string;
  /** How far its `Date` is ahead, see `Clock`. */
  readonly ahead?: SharedArrayBuffer | undefined;
}

interface Answer {
  readonly result?: string;
  readonly error?: { readonly message: string; readonly stack?: string };
}

const WORKER = new URL('./function-worker.mjs', import.meta.url);

/** One worker thread with a function's bundle, for one event at a time: what Lambda calls an execution environment. */
export class FunctionEnvironment {
  readonly #options: FunctionOptions;
  readonly #worker: Worker;
  #settle: { resolve(result: string): void; reject(error: Error): void } | undefined;
  /** False after a crash or a timeout. */
  usable = true;

  /** @param write gets the function's output as it comes */
  constructor(options: FunctionOptions, write: (output: string) => void) {
    this.#options = options;
    this.#worker = new Worker(WORKER, {
      env: { ...options.environment },
      execArgv: ['--enable-source-maps'],
      stdout: true,
      stderr: true,
      workerData: {
        module: pathToFileURL(join(options.codeFolder, 'index.mjs')).href,
        arn: options.arn,
        ahead: options.ahead,
      },
    });
    this.#worker.stdout.setEncoding('utf8').on('data', write);
    this.#worker.stderr.setEncoding('utf8').on('data', write);
    this.#worker.on('message', (answer: Answer) => this.#finish(answer));
    // These may come between two events as well, from what a handler left behind.
    this.#worker.on('error', (error: Error) => this.#fail(error));
    this.#worker.on('exit', (code) => this.#fail(new Error(`its environment ended with exit code ${code}`)));
  }

  /**
   * @param event JSON
   * @returns JSON
   * @throws Error that the handler threw, or that says how the environment died
   */
  async run(event: string): Promise<string> {
    const { timeoutSeconds } = this.#options;
    const timeoutMs = timeoutSeconds * 1000;
    const timer = setTimeout(() => {
      this.#fail(new Error(`Task timed out after ${timeoutSeconds.toFixed(2)} seconds`));
      void this.terminate();
    }, timeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        this.#settle = { resolve, reject };
        this.#worker.postMessage({ event, requestId: randomUUID(), deadline: Date.now() + timeoutMs });
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async terminate(): Promise<void> {
    this.usable = false;
    await this.#worker.terminate();
  }

  #finish({ result, error }: Answer): void {
    if (error === undefined) this.#settle?.resolve(result ?? 'null');
    else this.#settle?.reject(Object.assign(new Error(error.message), { stack: error.stack }));
    this.#settle = undefined;
  }

  #fail(error: Error): void {
    this.usable = false;
    this.#settle?.reject(error);
    this.#settle = undefined;
  }
}
