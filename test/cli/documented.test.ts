import { readdirSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { makeProgram } from '../../cli/program.ts';

const ROOT = new URL('../../', import.meta.url);
const pages = ['README.md', ...readdirSync(new URL('docs/', ROOT)).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);

/** Commands in the pages: `paku-ota …` in backticks, or in a line of a code block. */
const shown = pages.flatMap((page) => {
  const text = readFileSync(new URL(page, ROOT), 'utf8').replaceAll(/\\\n\s*/g, '');
  const found = text.matchAll(
    /(?:`|^|\s|\()(?:npm run --silent )?(?:node paku-ota\/cli\/)?paku-ota(?:\.mjs)?(?: --)? ((?:--[a-z]+(?:=\S+)? )*[a-z][^`\n#]*)/gm,
  );
  return [...found].map(([, line = '']) => [page, line.trim()] as const);
});

test('the pages contain commands, also with options before them', () => {
  expect(shown.length).toBeGreaterThan(100);
  expect(shown.filter(([, line]) => line.startsWith('--')).length).toBeGreaterThan(2);
});

/** The words of a line up to a pipe, a redirection or the next command, without quotes. */
function wordsOf(line: string): string[] {
  const words = line.match(/(?:"[^"]*"|'[^']*'|<[^>]*>|[^\s"'])+/g) ?? [];
  const end = words.findIndex((word) => /^(?:\||>|&&|;|\|\|)$/.test(word));
  return (end === -1 ? words : words.slice(0, end)).map((word) => word.replaceAll(/["';)]/g, ''));
}

/** What a page has in place of a value, and a value of that kind. */
const PLACEHOLDERS: Readonly<Record<string, string>> = { '<n>': '1', '<time>': '2026-01-01T00:00:00Z' };
const stateValue = (word: string) => PLACEHOLDERS[word] ?? word;

/** Parses with the real commands, whose actions do nothing. */
async function parse(words: readonly string[]): Promise<void> {
  const program = makeProgram();
  const silence = (command: Command): void => {
    command
      .exitOverride((error) => {
        throw error;
      })
      .configureOutput({ writeErr: () => {}, writeOut: () => {} });
    for (const child of command.commands) silence(child);
    if (command.commands.length === 0) command.action(() => {});
  };
  silence(program);
  await program.parseAsync(words.map(stateValue), { from: 'user' });
}

/** The command that the first words name, and the words behind them. */
function find(words: readonly string[]): { readonly command: Command; readonly rest: readonly string[] } {
  let command: Command = makeProgram();
  let rest = words;
  for (;;) {
    const next = command.commands.find((child) => child.name() === rest[0]);
    if (next === undefined) return { command, rest };
    command = next;
    rest = rest.slice(1);
  }
}

test.each(shown)('%s: paku-ota %s', async (_, line) => {
  const words = wordsOf(line);
  const { command, rest } = find(words);
  // A command that is mentioned by its name, or cut short, is no example.
  if (!words[0]?.startsWith('--') && (rest.length === 0 || rest.includes('…'))) {
    expect(command.parent, `${words[0]} is a command`).not.toBeNull();
    const known = command.options.map(({ long }) => long);
    expect(known).toEqual(expect.arrayContaining(rest.filter((word) => word.startsWith('--'))));
    return;
  }
  await parse(words);
});
