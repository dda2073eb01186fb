import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeWhole } from '../../kernel/index.ts';

/** A message as the journal keeps it. */
export interface KeptMessage {
  readonly id: string;
  readonly queue: string;
  readonly body: string;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

/** So many lines about messages that are gone are worth writing the file anew. */
const MOST_GONE = 10_000;

/**
 * What is in the queues, in a file: a line for each message that comes and for each that goes, so that a process that is
 * killed leaves behind what SQS would have kept.
 */
export class QueueJournal {
  readonly #file: string;
  readonly #onFailure: (error: Error) => void;
  readonly #kept = new Map<string, KeptMessage>();
  #gone = 0;
  /** The last write failed: the file may end within a line, and lacks what was to be written. */
  #isBehind = false;

  /** @param onFailure told when the file cannot be written; the queues go on in memory */
  constructor(file: string, onFailure: (error: Error) => void) {
    this.#file = file;
    this.#onFailure = onFailure;
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    for (const line of lines) this.#replay(line);
    this.#rewrite();
  }

  /** What an earlier process left in a queue. */
  of(queue: string): KeptMessage[] {
    return [...this.#kept.values()].filter((message) => message.queue === queue);
  }

  add(message: KeptMessage): void {
    this.#kept.set(message.id, message);
    this.#write(message);
  }

  remove(id: string): void {
    if (!this.#kept.delete(id)) return;
    this.#gone++;
    this.#write({ id });
  }

  /** The last line may be half of one. */
  #replay(line: string): void {
    try {
      const entry = JSON.parse(line) as KeptMessage | { id: string };
      if ('body' in entry) this.#kept.set(entry.id, entry);
      else this.#kept.delete(entry.id);
    } catch {
      // Its sender was not told that it had been taken.
    }
  }

  #rewrite(): void {
    writeWhole(this.#file, [...this.#kept.values()].map((message) => `${JSON.stringify(message)}\n`).join(''));
    this.#gone = 0;
  }

  #write(entry: KeptMessage | { readonly id: string }): void {
    try {
      if (this.#isBehind || this.#gone > MOST_GONE) this.#rewrite();
      else appendFileSync(this.#file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
      this.#isBehind = false;
    } catch (error) {
      this.#isBehind = true;
      this.#onFailure(error as Error);
    }
  }
}
