/** A benchmark, and the presentation of its figures. */
export interface Benchmark<Figures = unknown> {
  readonly name: string;
  readonly title: string;
  run(log: (line: string) => void): Promise<Figures>;
  /** The section of docs/performance.md below the title. */
  page(figures: Figures): string;
  /** Plots of the page as SVG, by name. */
  plots?(figures: Figures): Readonly<Record<string, string>>;
}

/** Results of several runs. A single run means little on a shared machine. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly runs: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: percentile(sorted, 50),
    least: sorted[0] ?? Number.NaN,
    most: sorted.at(-1) ?? Number.NaN,
    runs: sorted.length,
  };
}

/** The smallest value that `percent` of the sorted values do not exceed. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** @returns the result and the duration in milliseconds */
export async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  const result = await work();
  return [result, performance.now() - began];
}

/** Rounds to three significant digits. */
export const round = (value: number): number => Number(value.toPrecision(3));

export const number = (value: number): string =>
  (value >= 1000 ? Math.round(value) : round(value)).toLocaleString('en');

/** Formats as `12 ms (11–14)`. */
export const spreadText = ({ median, least, most }: Spread, unit = ''): string =>
  `${number(median)}${unit} (${number(least)}–${number(most)})`;

export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
