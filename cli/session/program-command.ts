import { Command, type ParseOptionsResult } from 'commander';
import { CliError, EXIT } from './failure.ts';
import { DEFAULT_STACK } from './target.ts';

/**
 * A command whose unknown options before a subcommand are refused. Commander would keep them for the subcommand and read
 * on, and then take the subcommand's `--version 1.2.0` for its own.
 */
export class ProgramCommand extends Command {
  override createCommand(name?: string): ProgramCommand {
    return new ProgramCommand(name);
  }

  override parseOptions(argv: string[]): ParseOptionsResult {
    if (this.commands.length > 0) this.#refuseUnknown(argv);
    return super.parseOptions(argv);
  }

  #refuseUnknown(argv: readonly string[]): void {
    for (let i = 0; i < argv.length; i++) {
      const [flag = '', value] = argv[i]?.split('=', 2) ?? [];
      if (!flag.startsWith('-') || flag === '--' || flag === '-h' || flag === '--help') return;
      const option = this.options.find(({ short, long }) => short === flag || long === flag);
      if (option === undefined) this.error(`error: unknown option '${flag}'`, { code: 'commander.unknownOption' });
      if (option?.required && value === undefined) i++;
    }
  }
}

/** Options of every command that calls a system. They may also stand before the command. */
export const addTargetOptions = <C extends Command>(command: C): C =>
  command
    .optionsGroup('Output and target:')
    .option('--json', 'print what the API answers, for programs')
    .option('--local', 'the local system only')
    .option('--aws', 'a deployment, even where a local system runs')
    .option('--profile <profile>', 'AWS profile of the deployment')
    .option('--region <region>', 'AWS region of the deployment (default: of the profile)')
    .option('--stack <name>', `its CloudFormation stack (default: ${DEFAULT_STACK})`);

/**
 * Gives a command the options that stand before it: of the program, then of its group. Those behind it win.
 * @throws CliError for an option that the command does not have
 */
export function passOptionsDown(command: Command): void {
  for (let parent = command.parent; parent !== null; parent = parent.parent) {
    for (const [name, value] of Object.entries(parent.opts<Record<string, unknown>>())) {
      if (!command.options.some((option) => option.attributeName() === name)) {
        throw new CliError(`--${name} does not go with ${pathOf(command)}; its --help shows its options`, EXIT.usage);
      }
      if (command.getOptionValueSource(name) === undefined) command.setOptionValueWithSource(name, value, 'cli');
    }
  }
}

const pathOf = (command: Command): string =>
  command.parent?.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
