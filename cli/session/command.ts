import type { Command } from 'commander';
import { findTarget } from './find-target.ts';
import { addTargetOptions } from './program-command.ts';
import { type Output, openOutput, openSession, type Session } from './session.ts';
import type { Account, TargetOptions } from './target.ts';

interface CommonOptions extends TargetOptions {
  readonly json?: boolean;
}

const EXIT_CODES = 'Exit codes: 0 done, 1 refused or failed, 2 wrong usage.';

/** Adds a command whose help shows the examples. */
export function addCommand(parent: Command, usage: string, summary: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join('\n');
  return parent.command(usage).description(summary).addHelpText('after', `\nExamples:\n${lines}\n\n${EXIT_CODES}`);
}

/** Adds a group of commands; called without a command it shows its help. */
export const addGroup = (parent: Command, name: string, summary: string): Command =>
  addTargetOptions(parent.command(name).description(summary));

/**
 * Registers what a command does on the system that its flags select. Called after the command's own options were added,
 * so that the help lists the common flags below them.
 * @param work is called with the session, the options and the arguments
 */
export function registerAction<Options, Arguments extends readonly unknown[]>(
  command: Command,
  work: (session: Session, options: Options, ...args: Arguments) => Promise<void>,
): void {
  addTargetOptions(command).action(async (...all: unknown[]) => {
    const options = command.opts<CommonOptions & Options>();
    const session = openSession(await findTarget(options), options.json === true);
    await work(session, options, ...argumentsOf<Arguments>(all));
  });
}

/**
 * Registers what a command does on a system, and what it does with an account in which no deployment need be.
 * @param isAccount whether the options ask for the account
 */
export function registerAccountAction<Options>(
  command: Command,
  isAccount: (options: Options) => boolean,
  onAccount: (output: Output, account: Account, options: Options) => Promise<void>,
  work: (session: Session, options: Options) => Promise<void>,
): void {
  addTargetOptions(command).action(async () => {
    const options = command.opts<CommonOptions & Options>();
    const json = options.json === true;
    if (!isAccount(options)) return work(openSession(await findTarget(options), json), options);
    // Imported on demand, as for a deployment.
    const { findAccount } = await import('./target-on-aws.ts');
    return onAccount(openOutput(json), await findAccount(options), options);
  });
}

/** Commander appends the options and the command to the arguments. */
const argumentsOf = <Arguments>(all: readonly unknown[]) => all.slice(0, -2) as unknown as Arguments;

/** Registers what a command does on this machine alone, without a system. */
export function registerLocalAction<Options, Arguments extends readonly unknown[]>(
  command: Command,
  work: (output: Output, options: Options, ...args: Arguments) => Promise<void>,
): void {
  command.option('--json', 'print the result for programs').action(async (...all: unknown[]) => {
    const options = command.opts<CommonOptions & Options>();
    await work(openOutput(options.json === true), options, ...argumentsOf<Arguments>(all));
  });
}
