import { confirm, isCancel } from '@clack/prompts';
import { CliError, EXIT } from './failure.ts';

/**
 * Asks before firmware is sent or something is lost for good. The question goes to standard error, because standard
 * output carries data.
 * @throws CliError when the answer is no, or when there is no terminal to answer on
 */
export async function confirmOrStop(question: string, isYes: boolean): Promise<void> {
  if (isYes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliError(`${question} There is no terminal to answer on: add --yes.`, EXIT.usage);
  }
  const answer = await confirm({ message: question, initialValue: false, output: process.stderr, withGuide: false });
  if (isCancel(answer) || !answer) throw new CliError('nothing was done');
}
