import { bold, dim, green, pad, red, shorten, yellow } from '../../text/index.ts';
import type { Check, Diagnosis, Outcome } from './check.ts';

const COLORS: Readonly<Record<Outcome, (text: string) => string>> = {
  pass: green,
  partly: yellow,
  fail: red,
  'not tested': dim,
  imitated: dim,
};

export function diagnosisText({ target, checks, assumptions }: Diagnosis): string[] {
  const failures = [...checks, ...assumptions].filter(({ outcome }) => outcome === 'fail').length;
  return [
    `${bold(target.name)}, ${target.api_url}`,
    '',
    ...checkLines(checks),
    '',
    ...(target.kind === 'local' ? [imitatedLine(assumptions.length)] : assumptionLines(assumptions)),
    '',
    failures === 0 ? green('Nothing is wrong that can be seen from here.') : red(`${failures} of these failed.`),
  ];
}

function checkLines(checks: readonly Check[]): string[] {
  const longest = Math.max(...checks.map(({ check }) => check.length));
  return checks.map(({ check, outcome, detail }) => `${outcomeText(outcome)}  ${pad(check, longest)}  ${detail}`);
}

const outcomeText = (outcome: Outcome) => COLORS[outcome](pad(outcome, 'not tested'.length));

const imitatedLine = (count: number) =>
  dim(`${count} behaviours of AWS that the service relies on are imitated here: docs/aws-assumptions.md`);

const BEHAVIOUR_WIDTH = 96;

const assumptionLines = (assumptions: readonly Check[]) => [
  bold('What AWS is trusted to do (docs/aws-assumptions.md)'),
  ...assumptions.flatMap(({ check, outcome, detail }) => [
    `${outcomeText(outcome)}  ${shorten(check, BEHAVIOUR_WIDTH)}`,
    `${' '.repeat('not tested'.length)}  ${dim(detail)}`,
  ]),
];
