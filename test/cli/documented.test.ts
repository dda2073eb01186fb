import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { makeProgram } from '../../cli/program.ts';

/** Commands in the pages: `paku-ota …` in backticks, or at the beginning of a line of a code block. */
const PAGES = [
  'README',
  'docs/cli',
  'docs/operating',
  'docs/runbook',
  'docs/ci-upload',
  'docs/connect-a-device',
  'docs/deploy',
  'docs/local',
];
const shown = PAGES.flatMap((page) => {
  const text = readFileSync(new URL(`../../${page}.md`, import.meta.url), 'utf8').replaceAll(/\\\n\s*/g, '');
  const found = text.matchAll(
    /(?:`|^|\s)(?:npm run --silent )?(?:node paku-ota\/cli\/)?paku-ota(?:\.mjs)?(?: --)? ([a-z][^`\n#]*)/gm,
  );
  return [...found].map(([, words = '']) => [page, words.trim()] as const);
});

test('the pages contain commands', () => {
  expect(shown.length).toBeGreaterThan(20);
});

const program = makeProgram();

test.each(shown)('%s: paku-ota %s', (_, words) => {
  let command: Command = program;
  const rest = words.split(/\s+/);
  for (;;) {
    const next = command.commands.find((child) => child.name() === rest[0]);
    if (next === undefined) break;
    command = next;
    rest.shift();
  }
  expect(command.commands, `${command.name()} is a group of commands`).toEqual([]);
  const known = command.options.map(({ long }) => long);
  for (const flag of rest.filter((word) => word.startsWith('--'))) expect(known).toContain(flag);
  // A command without arguments is mentioned by its name, not shown as an example.
  const needed = rest.length === 0 ? [] : command.options.filter(({ mandatory }) => mandatory).map(({ long }) => long);
  expect(rest).toEqual(expect.arrayContaining(needed));
});
