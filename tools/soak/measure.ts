import { setTimeout as delay } from 'node:timers/promises';
import type { TypedDatabase } from '../../test/support/test-sql.ts';
import type { ScriptedDevice } from './load.ts';

export interface Sample {
  /** Seconds since the start. */
  readonly second: number;
  /** Memory of the whole process. */
  readonly megabytes: number;
  /** Time from a status to its row; null means more than a minute. */
  readonly latencyMs: number | null;
}

const EVERY_MS = 2_000;
const POLL_MS = 50;
const TIMEOUT_MS = 60_000;

/** Measures every two seconds how long a status takes from the device to the database, and the size of the process. */
export class Probe {
  readonly samples: Sample[] = [];
  readonly #voice: ScriptedDevice;
  readonly #database: TypedDatabase;
  readonly #beganAt = Date.now();
  #isOver = false;
  #count = 0;
  readonly #run: Promise<void>;

  constructor(voice: ScriptedDevice, database: TypedDatabase) {
    this.#voice = voice;
    this.#database = database;
    this.#run = this.#sampleOnAndOn();
  }

  get second(): number {
    return Math.round((Date.now() - this.#beganAt) / 1000);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#run;
  }

  async #sampleOnAndOn(): Promise<void> {
    while (!this.#isOver) {
      const second = this.second;
      const latencyMs = await this.#askOnce().catch(() => null);
      const megabytes = Math.round(process.memoryUsage().rss / 1024 / 1024);
      this.samples.push({ second, megabytes, latencyMs });
      await delay(EVERY_MS);
    }
  }

  async #askOnce(): Promise<number | null> {
    const sentAt = Date.now();
    const version = `probe-${++this.#count}`;
    this.#voice.status(version);
    while (Date.now() - sentAt < TIMEOUT_MS) {
      const rows = await this.#database.query(
        'SELECT 1 FROM devices WHERE device_id = :id AND current_firmware_version = :version',
        {
          id: this.#voice.deviceId,
          version,
        },
      );
      if (rows.length > 0) return Date.now() - sentAt;
      await delay(POLL_MS);
    }
    return null;
  }
}

export const quantile = (values: readonly number[], share: number): number | null => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
};

const [WIDTH, HEIGHT, MARGIN] = [800, 240, 50];

/** A plot of latency (left) and memory (right) over time. */
export function plot(samples: readonly Sample[], title: string): string {
  const end = Math.max(1, ...samples.map(({ second }) => second));
  const latencies = samples.map(({ second, latencyMs }) => [second, (latencyMs ?? TIMEOUT_MS) / 1000] as const);
  const memory = samples.map(({ second, megabytes }) => [second, megabytes] as const);
  const top = (points: readonly (readonly [number, number])[]) => Math.max(1, ...points.map(([, y]) => y)) * 1.1;
  const line = (points: readonly (readonly [number, number])[], colour: string) => {
    const highest = top(points);
    const at = ([x, y]: readonly [number, number]) =>
      `${(MARGIN + (x / end) * (WIDTH - 2 * MARGIN)).toFixed(1)},${(HEIGHT - MARGIN - (y / highest) * (HEIGHT - 2 * MARGIN)).toFixed(1)}`;
    return `<polyline fill="none" stroke="${colour}" points="${points.map(at).join(' ')}"/>`;
  };
  const text = (x: number, y: number, colour: string, anchor: string, words: string) =>
    `<text x="${x}" y="${y}" fill="${colour}" text-anchor="${anchor}">${words}</text>`;
  const [blue, orange, grey] = ['#2563eb', '#c2410c', '#6b7280'];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>${title}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>
<path d="M${MARGIN} ${MARGIN}V${HEIGHT - MARGIN}H${WIDTH - MARGIN}V${MARGIN}" fill="none" stroke="${grey}"/>
${text(MARGIN, 20, grey, 'start', title)}
${text(MARGIN, 42, blue, 'start', `status to database, up to ${(top(latencies) / 1.1).toFixed(1)} s`)}
${text(WIDTH - MARGIN, 42, orange, 'end', `memory, up to ${Math.round(top(memory) / 1.1)} MB`)}
${line(latencies, blue)}
${line(memory, orange)}
${text(MARGIN, HEIGHT - 30, grey, 'start', '0')}
${text(WIDTH - MARGIN, HEIGHT - 30, grey, 'end', `${Math.round(end / 60)} min`)}
</svg>
`;
}
