import { bold, dim, green, pad, red, yellow } from '../../text/index.ts';
import type { BeforeCheck, BeforeReport } from './before.ts';

const COLORS = { ok: green, missing: red, unknown: yellow } as const;
const WIDTH = 'missing'.length;

/** The checks as lines; what is to be done is below each. */
export function beforeText({ stack, region, checks }: BeforeReport): string[] {
  const longest = Math.max(...checks.map(({ check }) => check.length));
  return [
    bold(`Before the first deployment of ${stack} in ${region}`),
    '',
    ...checks.flatMap(({ check, outcome, detail, todo }) => [
      `${COLORS[outcome](pad(outcome, WIDTH))}  ${pad(check, longest)}  ${detail}`,
      ...(todo === null ? [] : [`${' '.repeat(WIDTH + longest + 2)}  ${dim(todo)}`]),
    ]),
    '',
    summary(checks),
  ];
}

function summary(checks: readonly BeforeCheck[]): string {
  const count = (wanted: BeforeCheck['outcome']) => checks.filter(({ outcome }) => outcome === wanted).length;
  const unknown = count('unknown');
  if (count('missing') > 0) return red(`${count('missing')} missing: a deployment would fail.`);
  if (unknown > 0) return yellow(`Nothing is known to be missing; ${unknown} could not be seen.`);
  return green('Nothing is missing: npm run deploy');
}
