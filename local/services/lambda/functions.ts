import { tryAppend } from '../../kernel/index.ts';
import { FunctionEnvironment, type FunctionOptions } from './function-environment.ts';

/** A failed invocation: the handler threw, timed out or terminated its environment. */
export class FunctionError extends Error {
  override readonly name = 'FunctionError';
}

interface Job {
  readonly event: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Environments of one function at the same time; a laptop has few cores. */
const MAX_ENVIRONMENTS = 2;
/** Lines of output that an error quotes. */
const TAIL_LINES = 5;
const TAIL_CHARACTERS = 4_000;
const CLOSE_GRACE_MS = 10_000;

/** One Lambda function. Its environments are created on demand. */
export class LocalFunction {
  readonly name: string;
  readonly arn: string;
  readonly options: FunctionOptions;
  readonly #waiting: Job[] = [];
  readonly #free: FunctionEnvironment[] = [];
  readonly #running = new Map<FunctionEnvironment, Promise<void>>();
  #tail = '';
  #closed = false;

  constructor(options: FunctionOptions) {
    this.name = options.name;
    this.arn = options.arn;
    this.options = options;
  }

  /** @throws FunctionError with the handler's message and the last lines of its output */
  invoke(event: unknown): Promise<unknown> {
    if (this.#closed) return Promise.reject(new FunctionError(`${this.name}: is shutting down`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ event: JSON.stringify(event), resolve, reject });
      this.#next();
    });
  }

  /** True if no event is waiting or running. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  /** Terminates all environments immediately, also those that handle an event. */
  async kill(): Promise<void> {
    const environments = [...this.#free.splice(0), ...this.#running.keys()];
    await Promise.all(environments.map((environment) => environment.terminate()));
  }

  /** Rejects waiting events, gives running ones `graceMs` to finish, then terminates the environments. */
  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new FunctionError(`${this.name}: is shutting down`));
    const environments = [...this.#free, ...this.#running.keys()];
    let timer: NodeJS.Timeout | undefined;
    const graceIsOver = new Promise((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([Promise.all(this.#running.values()), graceIsOver]);
    clearTimeout(timer);
    await Promise.all(environments.map((environment) => environment.terminate()));
    await Promise.all(this.#running.values());
  }

  #next(): void {
    if (this.#waiting.length === 0) return;
    const environment = this.#takeEnvironment();
    const job = environment && this.#waiting.shift();
    if (environment && job) this.#running.set(environment, this.#run(environment, job));
  }

  #takeEnvironment(): FunctionEnvironment | undefined {
    for (let free = this.#free.pop(); free !== undefined; free = this.#free.pop()) if (free.usable) return free;
    if (this.#running.size >= MAX_ENVIRONMENTS) return undefined;
    return new FunctionEnvironment(this.options, (output) => this.#write(output));
  }

  async #run(environment: FunctionEnvironment, { event, resolve, reject }: Job): Promise<void> {
    const outcome = await environment.run(event).then(
      (result) => () => resolve(JSON.parse(result)),
      (error: Error) => () => reject(this.#failure(error)),
    );
    this.#running.delete(environment);
    if (environment.usable) this.#free.push(environment);
    outcome();
    this.#next();
  }

  #failure(error: Error): FunctionError {
    const tail = this.#tail.trim().split('\n').slice(-TAIL_LINES).join('\n');
    this.#write(`${error.stack ?? error.message}\n`);
    const output = tail === '' ? '' : `\nThe end of its output (${this.options.logFile}):\n${tail}`;
    return new FunctionError(`${this.name}: ${error.message}${output}`, { cause: error });
  }

  #write(output: string): void {
    this.#tail = (this.#tail + output).slice(-TAIL_CHARACTERS);
    tryAppend(this.options.logFile, output);
  }
}
