import { ApiError } from '../../api/client.ts';
import { printable } from '../text/index.ts';

/** Exit codes other than 0, which means done. */
export const EXIT = { failed: 1, usage: 2 } as const;

/** An error whose message is for the person at the terminal; it is printed without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** An error as lines: the first is a sentence, further ones name fields. */
export function describeFailure(error: unknown): string[] {
  if (error instanceof ApiError) return describeProblem(error);
  return [error instanceof Error ? error.message : String(error)];
}

function describeProblem({ problem }: ApiError): string[] {
  const { status, detail, errors = [] } = printable(problem);
  if (status === 403) return [`refused: ${detail}`, 'paku-ota doctor says who you are and whether your clock is right'];
  const [, kind] = /^There is no (device|release|rollout) /.exec(detail) ?? [];
  if (kind !== undefined) return [detail, `paku-ota ${kind} list shows those there are`];
  const fields = errors.map(({ field, message }) => `${field}: ${message}`);
  return [detail === '' ? problem.title : detail, ...fields.filter((line) => !detail.includes(line))];
}

export const exitCodeOf = (error: unknown): number => (error instanceof CliError ? error.exitCode : EXIT.failed);
