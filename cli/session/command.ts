import { type Command, InvalidArgumentError } from 'commander';
import { openSession, type Session } from './session.ts';
import { DEFAULT_STACK, findTarget, type TargetOptions } from './target.ts';

interface CommonOptions extends TargetOptions {
  readonly json?: boolean;
}

const EXIT_CODES = 'Exit codes: 0 done, 1 refused or failed, 2 wrong usage.';

/** A command with examples in its help. */
export function addCommand(parent: Command, usage: string, summary: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join('\n');
  return parent.command(usage).description(summary).addHelpText('after', `\nExamples:\n${lines}\n\n${EXIT_CODES}`);
}

/** A group of commands: without one of them it shows its help. */
export const addGroup = (parent: Command, name: string, summary: string): Command =>
  parent.command(name).description(summary);

/**
 * Lets a command act on the system that its flags mean. Comes last, so that these flags stand below its own.
 * @param work gets the options, then the arguments
 */
export function acts<Options, Arguments extends readonly unknown[]>(
  command: Command,
  work: (session: Session, options: Options, ...given: Arguments) => Promise<void>,
): void {
  command
    .optionsGroup('Output and target:')
    .option('--json', 'print what the API answers, for programs')
    .option('--local', 'the local system only')
    .option('--aws', 'a deployment, even where a local system runs')
    .option('--profile <profile>', 'AWS profile of the deployment')
    .option('--region <region>', 'AWS region of the deployment (default: of the profile)')
    .option('--stack <name>', `its CloudFormation stack (default: ${DEFAULT_STACK})`)
    .action(async (...all: unknown[]) => {
      const options = command.opts<CommonOptions & Options>();
      const session = openSession(await findTarget(options), options.json === true);
      await work(session, options, ...(all.slice(0, -2) as unknown as Arguments));
    });
}

/** For options that may be given several times, and take several values separated by commas. */
export const collect = (value: string, before: readonly string[] = []): string[] => [
  ...before,
  ...value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
];

/** A whole number in a range. @throws InvalidArgumentError that says which */
export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** An instant as the API takes it. @throws InvalidArgumentError */
export function time(text: string): string {
  const at = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(at.getTime())) return at.toISOString();
  throw new InvalidArgumentError('Expected a time such as 2026-03-02T22:00:00Z.');
}
