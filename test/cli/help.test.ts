import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { makeProgram } from '../../cli/program.ts';

function leavesOf(command: Command, path = command.name()): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((child) => leavesOf(child, `${path} ${child.name()}`));
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

const leaves = leavesOf(makeProgram());

test.each(leaves)('the help of %s has a description, examples and exit codes', (path, command) => {
  const help = helpOf(command);
  expect(command.description()).not.toBe('');
  expect(help).toContain(`Examples:\n  ${path}`);
  expect(help).toContain('Exit codes: 0 done');
});

test.each(leaves)('%s has --json', (_, command) => {
  expect(command.options.map(({ long }) => long)).toContain('--json');
});
