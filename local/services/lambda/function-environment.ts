import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

export interface FunctionOptions {
  readonly name: string;
  readonly arn: string;
  /** Folder of the Lambda bundle, which contains index.mjs. */
  readonly codeFolder: string;
  /** All environment variables of the function; those of this process are not passed on. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  /** File for the output of the function. */
  readonly logFile: string;
  /** How far the function's `Date` is ahead, see `Clock`. */
  readonly ahead?: SharedArrayBuffer | undefined;
}

interface Answer {
  readonly result?: string;
  readonly error?: { readonly message: string; readonly stack?: string };
}

const WORKER = new URL('./function-worker.mjs', import.meta.url);

/** One Lambda execution environment: a worker thread that handles one event at a time with the bundle of a function. */
export class FunctionEnvironment {
  readonly #options: FunctionOptions;
  readonly #worker: Worker;
  #settle: { resolve(result: string): void; reject(error: Error): void } | undefined;
  /** False after a crash or a timeout. */
  usable = true;

  /** @param write receives the output of the function */
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
    // Timers and promises that a handler left behind can cause these between two events.
    this.#worker.on('error', (error: Error) => this.#fail(error));
    this.#worker.on('exit', (code) => this.#fail(new Error(`its environment ended with exit code ${code}`)));
  }

  /**
   * @param event JSON
   * @returns JSON
   * @throws the error of the handler, or an Error that says how the environment ended
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
