import { confirm, isCancel } from '@clack/prompts';
import { CliError, EXIT } from './failure.ts';

/**
 * Asks before firmware is sent or something is lost for good. On standard error, since standard output is for data.
 * @throws CliError when the answer is no, or when nobody is there to answer
 */
export async function confirmOrStop(question: string, isYes: boolean): Promise<void> {
  if (isYes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliError(`${question} There is no terminal to answer on: add --yes.`, EXIT.usage);
  }
  const answer = await confirm({ message: question, initialValue: false, output: process.stderr, withGuide: false });
  if (isCancel(answer) || !answer) throw new CliError('nothing was done');
}
