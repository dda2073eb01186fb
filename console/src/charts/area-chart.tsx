import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import { formatTick } from './ticks.ts';

export interface Series {
  readonly label: string;
  /** A custom property of the stylesheet. */
  readonly colour: string;
  readonly values: readonly number[];
}

export interface AreaChartProps {
  /** Describes the chart for screen readers. */
  readonly label: string;
  /** Seconds since 1970, ascending. */
  readonly times: readonly number[];
  /** Stacked in this order, the first at the bottom. */
  readonly series: readonly Series[];
  readonly height: number;
  /** What the axis covers, in seconds since 1970. @default from the first time to the last */
  readonly span?: readonly [from: number, to: number] | undefined;
  /** Called with the index of the point under the pointer; null when there is none. */
  readonly onPoint?: (index: number | null) => void;
}

/** Stacked areas over time, in steps: each value holds until the next. Loaded on demand, because uPlot is large. */
export default function AreaChart({ label, times, series, height, span, onPoint }: AreaChartProps) {
  const shown = useRef<AreaChartProps['span']>(span);
  const frame = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const scheme = useColourScheme();
  const shape = series.map((each) => `${each.label} ${each.colour}`).join('\n');

  // biome-ignore lint/correctness/useExhaustiveDependencies: the chart is created again for other series or colours, not for other values
  useEffect(() => {
    const parent = frame.current;
    if (parent === null) return;
    const width = parent.clientWidth;
    const made = new uPlot(
      optionsOf(parent, series, { width, height, span: () => shown.current }, onPoint),
      stack(times, series),
      parent,
    );
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: parent.clientWidth, height }));
    observer.observe(parent);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [shape, scheme, height]);

  useEffect(() => {
    shown.current = span;
    chart.current?.setData(stack(times, series));
  }, [times, series, span]);

  return <div ref={frame} className="chart" role="img" aria-label={label} style={{ height }} />;
}

function useColourScheme(): boolean {
  const query = '(prefers-color-scheme: dark)';
  const [isDark, setDark] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const update = () => setDark(list.matches);
    list.addEventListener('change', update);
    return () => list.removeEventListener('change', update);
  }, []);
  return isDark;
}

/** Cumulative sums, the highest first: each area is painted over the previous one, down to the axis. */
function stack(times: readonly number[], series: readonly Series[]): uPlot.AlignedData {
  const sums = times.map(() => 0);
  const layers = series.map(({ values }) =>
    times.map((_, point) => {
      sums[point] = (sums[point] ?? 0) + (values[point] ?? 0);
      return sums[point];
    }),
  );
  return [[...times], ...layers.reverse()];
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly span: () => AreaChartProps['span'];
}

function optionsOf(
  parent: HTMLElement,
  series: readonly Series[],
  { width, height, span }: Frame,
  onPoint?: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(parent);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const paths = uPlot.paths.stepped?.({ align: 1 });
  const axis = {
    stroke: colour('--muted'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `12px ${style.fontFamily}`,
  };
  return {
    width,
    height,
    // Half of the last tick's label is to the right of the tick.
    padding: [10, 32, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, min, max) => [...(span() ?? [min, max])] },
      y: { range: (_, __, max) => [0, Math.max(1, max * 1.05)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 24,
        space: 76,
        incrs: TIME_STEPS,
        values: (_, ticks, __, ___, step) => ticks.map((each) => formatTick(each, step)),
      },
      { ...axis, size: 44, incrs: WHOLE_STEPS },
    ],
    series: [
      {},
      ...[...series].reverse().map(({ label, colour: name }) => ({
        label,
        fill: colour(name),
        stroke: colour('--surface'),
        width: 1,
        points: { show: false },
        ...(paths === undefined ? {} : { paths }),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint?.(cursor.idx ?? null)] },
  };
}

/** Steps of the time axis in seconds; samples are not more exact. */
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600),
  ...[1, 2, 5, 7, 14, 30].map((days) => days * 86_400),
];

/** Steps of the axis of devices, which are whole numbers. */
const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];
