import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

export interface QueueSettings {
  readonly name: string;
  readonly arn: string;
  readonly visibilityTimeoutSeconds: number;
  readonly redrive?: { readonly deadLetterArn: string; readonly maxReceiveCount: number } | undefined;
}

export interface Message {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  receives: number;
  visibleAt: number;
}

/** What an event source mapping asks of its queue. The consumer returns ids of messages that failed, or throws for all. */
export interface Consumer {
  readonly batchSize: number;
  readonly windowSeconds: number;
  readonly concurrency: number;
  consume(messages: readonly Message[]): Promise<readonly string[]>;
}

/**
 * A standard queue: at least once, in no order worth relying on. A message that failed is visible again after the
 * visibility timeout, and after `maxReceiveCount` receives goes to the dead-letter queue.
 */
export class LocalQueue {
  readonly settings: QueueSettings;
  readonly #messages: Message[] = [];
  readonly #findQueue: (arn: string) => LocalQueue | undefined;
  #consumer: Consumer | undefined;
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(settings: QueueSettings, findQueue: (arn: string) => LocalQueue | undefined) {
    this.settings = settings;
    this.#findQueue = findQueue;
  }

  send(body: string): string {
    const message = { id: randomUUID(), body, sentAt: Date.now(), receives: 0, visibleAt: 0 };
    this.#messages.push(message);
    this.#wake();
    return message.id;
  }

  attach(consumer: Consumer): void {
    this.#consumer = consumer;
    this.#wake();
  }

  /** Messages that wait, those that are being handled and those that failed and come back later. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** Nothing waits that could be handled now, and nothing is being handled. */
  get isIdle(): boolean {
    return (
      this.#running === 0 &&
      (this.#consumer === undefined || !this.#messages.some(({ visibleAt }) => visibleAt <= Date.now()))
    );
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Puts back what an earlier process left behind. */
  restore(messages: readonly Message[]): void {
    this.#messages.push(...messages.map((message) => ({ ...message, visibleAt: 0 })));
    this.#wake();
  }

  #wake(): void {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#closed || this.#running >= consumer.concurrency) return;
    const now = Date.now();
    const visible = this.#messages.filter(({ visibleAt }) => visibleAt <= now);
    const oldest = visible[0];
    const windowEnds =
      oldest === undefined ? 0 : Math.max(oldest.sentAt, oldest.visibleAt) + consumer.windowSeconds * 1000;
    if (visible.length >= consumer.batchSize || (oldest !== undefined && windowEnds <= now)) {
      void this.#deliver(consumer, visible.slice(0, consumer.batchSize));
      this.#wake();
      return;
    }
    const times = this.#messages.map(({ visibleAt }) => visibleAt).filter((at) => at > now);
    if (oldest !== undefined) times.push(windowEnds);
    this.#sleepUntil(Math.min(...times));
  }

  #sleepUntil(time: number): void {
    clearTimeout(this.#timer);
    if (!Number.isFinite(time)) return;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, time - Date.now()));
  }

  async #deliver(consumer: Consumer, batch: readonly Message[]): Promise<void> {
    this.#running++;
    for (const message of batch) {
      message.receives++;
      message.visibleAt = Date.now() + this.settings.visibilityTimeoutSeconds * 1000;
    }
    const failed = await consumer.consume(batch).catch(() => batch.map(({ id }) => id));
    const failures = new Set(failed);
    for (const message of batch) {
      if (failures.has(message.id)) this.#keepOrBury(message);
      else this.#remove(message);
    }
    this.#running--;
    this.#wake();
  }

  #keepOrBury(message: Message): void {
    const { redrive } = this.settings;
    if (redrive === undefined || message.receives < redrive.maxReceiveCount) return;
    this.#remove(message);
    this.#findQueue(redrive.deadLetterArn)?.send(message.body);
  }

  #remove(message: Message): void {
    const index = this.#messages.indexOf(message);
    if (index >= 0) this.#messages.splice(index, 1);
  }
}

/** Writes what is still in the queues, for the next start. */
export function saveQueues(file: string, queues: readonly LocalQueue[]): void {
  const left = queues.map(({ settings, messages }) => [settings.name, messages]);
  writeFileSync(file, JSON.stringify(Object.fromEntries(left)), { mode: 0o600 });
}

/** Reads it back, once: a message is in the file or in a queue, not in both. */
export function restoreQueues(file: string, queues: readonly LocalQueue[]): void {
  if (!existsSync(file)) return;
  const left = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Message[]>;
  rmSync(file);
  for (const queue of queues) queue.restore(left[queue.settings.name] ?? []);
}
