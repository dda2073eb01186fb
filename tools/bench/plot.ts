export interface LineChart {
  readonly title: string;
  readonly x: readonly string[];
  readonly xLabel: string;
  readonly yLabel: string;
  /** Null is a missing measurement. */
  readonly series: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
}

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly { readonly label: string; readonly value: number }[];
  /** Drawn as a horizontal line. */
  readonly goal?: { readonly label: string; readonly value: number } | undefined;
}

const WIDTH = 640;
const HEIGHT = 280;
const LEFT = 64;
const BOTTOM = 44;
const TOP = 16;
const RIGHT = 150;
/** Colors that color-blind people can distinguish (Okabe and Ito). */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9'];

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const text = (x: number, y: number, content: string, anchor = 'start') =>
  `<text x="${x.toFixed(0)}" y="${y.toFixed(0)}" text-anchor="${anchor}">${escaped(content)}</text>`;
const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, more = '') =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${stroke}" ${more}/>`;
const frame = (title: string, height: number, content: readonly string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#333">
<title>${escaped(title)}</title>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${content.join('\n')}
</svg>
`;

/** The smallest of 1, 2, 5, 10, 20, … above a value. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

export function lineChart({ title, x, xLabel, yLabel, series }: LineChart): string {
  const top = roundUp(Math.max(...series.flatMap(({ values }) => values.flatMap((value) => value ?? []))));
  const atX = (index: number) => LEFT + (index / Math.max(1, x.length - 1)) * (WIDTH - LEFT - RIGHT);
  const atY = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  const ticks = [0, top / 2, top].flatMap((value) => [
    line(LEFT, atY(value), WIDTH - RIGHT, atY(value), '#ddd'),
    text(LEFT - 8, atY(value) + 4, value.toLocaleString('en'), 'end'),
  ]);
  const lines = series.flatMap(({ label, values }, n) => {
    const color = COLORS[n % COLORS.length] ?? '#000';
    const points = values.flatMap((value, index) => (value === null ? [] : [[atX(index), atY(value)] as const]));
    return [
      `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ')}"/>`,
      ...points.map(([px, py]) => `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="3" fill="${color}"/>`),
      `<rect x="${WIDTH - RIGHT + 12}" y="${TOP + n * 20}" width="12" height="12" fill="${color}"/>`,
      text(WIDTH - RIGHT + 30, TOP + n * 20 + 10, label),
    ];
  });
  const labels = x.map((label, index) => text(atX(index), HEIGHT - BOTTOM + 18, label, 'middle'));
  return frame(title, HEIGHT, [
    ...ticks,
    ...lines,
    ...labels,
    text((WIDTH - RIGHT + LEFT) / 2, HEIGHT - 8, xLabel, 'middle'),
    text(8, TOP - 2, yLabel),
  ]);
}

export function barChart({ title, unit, bars, goal }: BarChart): string {
  const left = 250;
  const row = 26;
  const height = TOP + bars.length * row + BOTTOM;
  const most = roundUp(Math.max(...bars.map(({ value }) => value), goal?.value ?? 0));
  const atX = (value: number) => left + (value / most) * (WIDTH - left - 90);
  const drawn = bars.flatMap(({ label, value }, n) => {
    const y = TOP + n * row;
    return [
      text(left - 8, y + 15, label, 'end'),
      `<rect x="${left}" y="${y + 3}" width="${(atX(value) - left).toFixed(1)}" height="${row - 8}" fill="${COLORS[0]}"/>`,
      text(atX(value) + 6, y + 15, `${Number(value.toPrecision(3)).toLocaleString('en')} ${unit}`),
    ];
  });
  const mark =
    goal === undefined
      ? []
      : [
          line(
            atX(goal.value),
            TOP,
            atX(goal.value),
            height - BOTTOM + 6,
            COLORS[1] ?? '#000',
            'stroke-dasharray="4 3"',
          ),
          text(atX(goal.value), height - BOTTOM + 22, goal.label, 'middle'),
        ];
  return frame(title, height, [...drawn, ...mark]);
}
