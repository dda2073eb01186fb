import { randomUUID } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

export interface FunctionOptions {
  readonly name: string;
  /** Folder with index.mjs, as bundled for Lambda. */
  readonly codeFolder: string;
  /** The whole environment of the function: nothing of this process's own leaks in. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  /** Gets what the function writes to stdout and stderr. */
  readonly logFile: string;
}

/** The function threw, as Lambda reports it. */
export class FunctionError extends Error {
  override readonly name = 'FunctionError';
}

interface Job {
  readonly event: unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Environments that one function may have at once; a laptop has few cores. */
const MAX_ENVIRONMENTS = 2;
const WORKER = new URL('./function-worker.mjs', import.meta.url);

/** One Lambda function: its bundle in worker threads, each with one event at a time, made as they are needed. */
export class LocalFunction {
  readonly name: string;
  readonly #options: FunctionOptions;
  readonly #log: WriteStream;
  readonly #waiting: Job[] = [];
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  readonly #finishing = new Set<Promise<unknown>>();

  constructor(options: FunctionOptions) {
    this.name = options.name;
    this.#options = options;
    this.#log = createWriteStream(options.logFile, { flags: 'a' });
  }

  /** @throws FunctionError when the handler threw or ran longer than its timeout */
  invoke(event: unknown): Promise<unknown> {
    const done = new Promise<unknown>((resolve, reject) => {
      this.#waiting.push({ event, resolve, reject });
    });
    this.#finishing.add(done);
    done.catch(() => {}).finally(() => this.#finishing.delete(done));
    this.#next();
    return done;
  }

  get isIdle(): boolean {
    return this.#finishing.size === 0;
  }

  /** Lets running invocations finish, then ends the environments. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#finishing);
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
    await new Promise<void>((resolve) => this.#log.end(resolve));
  }

  #next(): void {
    if (this.#waiting.length === 0) return;
    const worker = this.#idle.pop() ?? (this.#all.size < MAX_ENVIRONMENTS ? this.#start() : undefined);
    const job = worker === undefined ? undefined : this.#waiting.shift();
    if (worker !== undefined && job !== undefined) this.#run(worker, job);
  }

  #start(): Worker {
    const { codeFolder, environment } = this.#options;
    const worker = new Worker(WORKER, {
      env: { ...environment },
      execArgv: ['--enable-source-maps'],
      stdout: true,
      stderr: true,
      workerData: { module: pathToFileURL(join(codeFolder, 'index.mjs')).href },
    });
    worker.stdout.pipe(this.#log, { end: false });
    worker.stderr.pipe(this.#log, { end: false });
    this.#all.add(worker);
    return worker;
  }

  #run(worker: Worker, job: Job): void {
    const { timeoutSeconds } = this.#options;
    const timer = setTimeout(() => {
      finish(
        () => job.reject(new FunctionError(`${this.name}: Task timed out after ${timeoutSeconds} seconds`)),
        false,
      );
    }, timeoutSeconds * 1000);

    const finish = (settle: () => void, reusable: boolean) => {
      clearTimeout(timer);
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      if (reusable) this.#idle.push(worker);
      else this.#discard(worker);
      settle();
      this.#next();
    };
    const onMessage = (message: WorkerMessage) => {
      if (message.kind === 'result') finish(() => job.resolve(message.value), true);
      if (message.kind === 'error') finish(() => job.reject(this.#failure(message.message, message.stack)), true);
    };
    const onError = (error: Error) => finish(() => job.reject(this.#failure(error.message, error.stack)), false);
    const onExit = () => finish(() => job.reject(new FunctionError(`${this.name}: its environment ended`)), false);
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage({ event: job.event, requestId: randomUUID(), deadline: Date.now() + timeoutSeconds * 1000 });
  }

  #failure(message: string, stack: string | undefined): FunctionError {
    this.#log.write(`${stack ?? message}\n`);
    return new FunctionError(`${this.name}: ${message}`);
  }

  #discard(worker: Worker): void {
    this.#all.delete(worker);
    worker.on('error', () => {});
    void worker.terminate();
  }
}

type WorkerMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error'; readonly message: string; readonly stack?: string };
