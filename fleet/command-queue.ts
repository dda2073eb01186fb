import { EventEmitter, once } from 'node:events';
import type { OtaCommand } from './command.ts';

/** Commands in the order of their arrival: one that comes while another runs waits here. */
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

  /** Resolves as soon as there is a command to take; rejects when the signal is aborted. */
  async untilFilled(signal: AbortSignal): Promise<void> {
    if (this.waiting.length === 0) await once(this.arrivals, 'arrival', { signal });
  }
}
