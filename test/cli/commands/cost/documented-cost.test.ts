import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { makeProgram } from '../../../../cli/program.ts';

const read = (file: string) => readFileSync(new URL(`../../../../${file}`, import.meta.url), 'utf8');
const ROWS = [...read('docs/cost.md').matchAll(/^\| `(--devices [^`]+)`[^|]*\| ([\d,]+) /gm)].map(
  ([, flags = '', total = '']) => [flags, total] as const,
);
const totalOf = (flags: string) => ROWS.find(([known]) => known === flags)?.[1];

test.each(ROWS)('docs/cost.md has the total of paku-ota cost %s: %s USD', async (flags, total) => {
  const print = vi.spyOn(console, 'log').mockImplementation(() => {});
  await makeProgram().parseAsync(['cost', ...flags.split(' '), '--json'], { from: 'user' });
  const bill = JSON.parse(String(print.mock.calls[0]?.[0])) as { total: number };
  print.mockRestore();
  expect(Math.round(bill.total).toLocaleString('en')).toBe(total);
});

test('README and docs/deploy.md have the figures of docs/cost.md', () => {
  expect(ROWS).toHaveLength(7);
  const [usual, rare, awake] = ['--devices 100', '--devices 100 --period 900', '--devices 100 --sweep 0'].map(totalOf);
  expect(read('README.md')).toContain(`The projected cost is ${usual} USD a month for 100 devices`);
  expect(read('docs/deploy.md')).toContain(`is ${usual} USD a month for 100 devices that report every 60 s`);
  expect(read('docs/deploy.md')).toContain(`and ${rare} USD if they report every 15 minutes`);
  expect(read('docs/deploy.md')).toContain(`without it the first figure is ${awake} USD`);
});
