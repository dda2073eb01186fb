import { randomUUID } from 'node:crypto';
import type { Clock, Interceptors } from '../../kernel/index.ts';
import type { QueueJournal } from './queue-journal.ts';

export interface QueueSettings {
  readonly name: string;
  readonly arn: string;
  readonly visibilityTimeoutSeconds: number;
  readonly redrive?: { readonly deadLetterArn: string; readonly maxReceiveCount: number } | undefined;
}

export interface Message {
  readonly id: string;
  readonly body: string;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  receives: number;
  visibleAt: number;
}

/** The counts among the attributes of a queue: messages that can be received, that are in flight, and that are delayed. */
export const COUNTS = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
] as const;

/** The settings of an event source mapping and its function. */
export interface Consumer {
  readonly batchSize: number;
  readonly windowSeconds: number;
  readonly concurrency: number;
  /** Handles a batch. @returns the ids of messages that failed; an error means that all of them did */
  consume(messages: readonly Message[]): Promise<readonly string[]>;
}

/**
 * A standard SQS queue: delivery at least once, without a guaranteed order. A failed message is visible again after the
 * visibility timeout, and moves to the dead-letter queue after `maxReceiveCount` receives.
 */
export class LocalQueue {
  readonly settings: QueueSettings;
  readonly #messages = new Map<string, Message>();
  readonly #findQueue: (arn: string) => LocalQueue | undefined;
  readonly #clock: Clock;
  readonly #onSend: NonNullable<Interceptors['onSend']>;
  #consumer: Consumer | undefined;
  #running = 0;
  #stopTimer: () => void = () => {};
  #closed = false;
  #journal: QueueJournal | undefined;

  constructor(
    settings: QueueSettings,
    findQueue: (arn: string) => LocalQueue | undefined,
    clock: Clock,
    onSend: Interceptors['onSend'] = () => [0],
  ) {
    this.settings = settings;
    this.#findQueue = findQueue;
    this.#clock = clock;
    this.#onSend = onSend;
  }

  /** @returns the message's id */
  send(body: string): string {
    const id = randomUUID();
    const now = this.#clock.now();
    for (const [copy, delayMs] of this.#onSend(this.settings.name, body, new Date(now)).entries()) {
      const message = { id: copy === 0 ? id : randomUUID(), body, sentAt: now, receives: 0, visibleAt: now + delayMs };
      this.#record(message);
    }
    this.#wake();
    return id;
  }

  /** Removes all messages. @returns them */
  takeAll(): readonly Message[] {
    const all = this.messages;
    for (const { id } of all) this.#recordRemoval(id);
    return all;
  }

  attach(consumer: Consumer): void {
    this.#consumer = consumer;
    this.#wake();
  }

  /** All messages: waiting, in flight, and failed ones that are not yet visible again. */
  get messages(): readonly Message[] {
    return [...this.#messages.values()];
  }

  get counts(): Readonly<Record<(typeof COUNTS)[number], number>> {
    const now = this.#clock.now();
    const hidden = this.messages.filter(({ visibleAt }) => visibleAt > now);
    const delayed = hidden.filter(({ receives }) => receives === 0).length;
    return {
      ApproximateNumberOfMessages: this.#messages.size - hidden.length,
      ApproximateNumberOfMessagesNotVisible: hidden.length - delayed,
      ApproximateNumberOfMessagesDelayed: delayed,
    };
  }

  /** True if no message can be received now and none is in flight. */
  get isIdle(): boolean {
    return this.#running === 0 && (this.#consumer === undefined || this.#visible(1).length === 0);
  }

  /** Stops deliveries. Batches in flight still finish. */
  close(): void {
    this.#closed = true;
    this.#stopTimer();
  }

  /**
   * Restores the messages of an earlier process, visible and with a receive count of 0, and records all changes from
   * now on.
   */
  recordIn(journal: QueueJournal): void {
    for (const { id, body, sentAt } of journal.of(this.settings.name)) {
      this.#messages.set(id, { id, body, sentAt, receives: 0, visibleAt: 0 });
    }
    this.#journal = journal;
    this.#wake();
  }

  #record(message: Message): void {
    const { id, body, sentAt } = message;
    this.#messages.set(id, message);
    this.#journal?.add({ id, queue: this.settings.name, body, sentAt });
  }

  #recordRemoval(id: string): void {
    this.#messages.delete(id);
    this.#journal?.remove(id);
  }

  /** Delivers a batch if it is full or its window has ended; otherwise sets a timer to check again. */
  #wake(): void {
    const consumer = this.#consumer;
    this.#stopTimer();
    if (consumer === undefined || this.#closed || this.#running >= consumer.concurrency) return;
    const now = this.#clock.now();
    const batch = this.#visible(consumer.batchSize);
    const windowEnds = Math.min(...batch.map((message) => arrival(message) + consumer.windowSeconds * 1000));
    if (batch.length >= consumer.batchSize || windowEnds <= now) {
      void this.#deliver(consumer, batch);
      this.#wake();
      return;
    }
    const hidden = this.messages.map(({ visibleAt }) => visibleAt).filter((at) => at > now);
    const next = hidden.reduce((earliest, at) => Math.min(earliest, at), windowEnds);
    if (next < Number.POSITIVE_INFINITY) this.#stopTimer = this.#clock.after(next - now, () => this.#wake());
  }

  #visible(count: number): Message[] {
    const now = this.#clock.now();
    const found: Message[] = [];
    for (const message of this.#messages.values()) {
      if (found.length === count) break;
      if (message.visibleAt <= now) found.push(message);
    }
    return found;
  }

  async #deliver(consumer: Consumer, batch: readonly Message[]): Promise<void> {
    this.#running++;
    const visibleAt = this.#clock.now() + this.settings.visibilityTimeoutSeconds * 1000;
    for (const message of batch) {
      message.receives++;
      message.visibleAt = visibleAt;
    }
    const failures = new Set(await consumer.consume(batch).catch(() => batch.map(({ id }) => id)));
    for (const message of batch) {
      if (!failures.has(message.id)) this.#recordRemoval(message.id);
      else if (message.receives >= (this.settings.redrive?.maxReceiveCount ?? Number.POSITIVE_INFINITY))
        this.#deadLetter(message);
    }
    this.#running--;
    this.#wake();
  }

  #deadLetter({ id, body }: Message): void {
    this.#findQueue(this.settings.redrive?.deadLetterArn ?? '')?.send(body);
    this.#recordRemoval(id);
  }
}

/** When a message became visible. */
const arrival = ({ sentAt, visibleAt }: Message) => Math.max(sentAt, visibleAt);

/** Queues by ARN. */
export type Queues = ReadonlyMap<string, LocalQueue>;

export const queueByUrl = (queues: Queues, url: string): LocalQueue | undefined =>
  [...queues.values()].find(({ settings }) => url.endsWith(`/${settings.name}`));
