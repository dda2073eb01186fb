import { EventEmitter, once } from 'node:events';
import type { OtaCommand } from './command.ts';

/** Commands in the order of their arrival. A command waits here while another one runs. */
export class CommandQueue {
  private readonly waiting: OtaCommand[] = [];
  private readonly arrivals = new EventEmitter();

  add(command: OtaCommand): void {
    this.waiting.push(command);
    this.arrivals.emit('arrival');
  }

  take(): OtaCommand | undefined {
    return this.waiting.shift();
  }

  /** Forgets the commands that wait. */
  clear(): void {
    this.waiting.length = 0;
  }

  /** Resolves when there is a command. Rejects if the signal is aborted. */
  async untilFilled(signal: AbortSignal): Promise<void> {
    if (this.waiting.length === 0) await once(this.arrivals, 'arrival', { signal });
  }
}
