import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { LocalQueue, Message } from './queues.ts';

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
