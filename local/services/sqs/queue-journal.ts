import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeFileAtomically } from '../../kernel/index.ts';

/** A message in the journal. */
export interface JournalEntry {
  readonly id: string;
  readonly queue: string;
  readonly body: string;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

/** The file is rewritten when it has more lines about removed messages than this. */
const MAX_REMOVED_LINES = 10_000;

/**
 * The messages of all queues in a file, with a line for each message that is added or removed. After a kill of the
 * process, the file contains the messages that SQS would have kept.
 */
export class QueueJournal {
  readonly #file: string;
  readonly #onFailure: (error: Error) => void;
  readonly #kept = new Map<string, JournalEntry>();
  #gone = 0;
  /** True if the last write failed: the file may end in a partial line, and an entry is missing. */
  #isBehind = false;

  /** @param onFailure called if the file cannot be written; the queues continue in memory */
  constructor(file: string, onFailure: (error: Error) => void) {
    this.#file = file;
    this.#onFailure = onFailure;
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    for (const line of lines) this.#replay(line);
    this.#rewrite();
  }

  /** Messages that an earlier process left in a queue. */
  of(queue: string): JournalEntry[] {
    return [...this.#kept.values()].filter((message) => message.queue === queue);
  }

  add(message: JournalEntry): void {
    this.#kept.set(message.id, message);
    this.#write(message);
  }

  remove(id: string): void {
    if (!this.#kept.delete(id)) return;
    this.#gone++;
    this.#write({ id });
  }

  /** Applies a line. The last line of the file may be incomplete. */
  #replay(line: string): void {
    try {
      const entry = JSON.parse(line) as JournalEntry | { id: string };
      if ('body' in entry) this.#kept.set(entry.id, entry);
      else this.#kept.delete(entry.id);
    } catch {
      // The message was never acknowledged to its sender, so it may be lost.
    }
  }

  #rewrite(): void {
    writeFileAtomically(this.#file, [...this.#kept.values()].map((message) => `${JSON.stringify(message)}\n`).join(''));
    this.#gone = 0;
  }

  #write(entry: JournalEntry | { readonly id: string }): void {
    try {
      if (this.#isBehind || this.#gone > MAX_REMOVED_LINES) this.#rewrite();
      else appendFileSync(this.#file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
      this.#isBehind = false;
    } catch (error) {
      this.#isBehind = true;
      this.#onFailure(error as Error);
    }
  }
}
