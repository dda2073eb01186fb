import { ApiClient, type Fetch } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { printable } from '../text/index.ts';
import { CliError } from './failure.ts';
import { retryWhileResuming } from './retry.ts';
import type { Target } from './target.ts';

/** How a command prints. */
export interface Output {
  readonly json: boolean;
  /** Prints an answer of the API: unchanged with --json, otherwise as the lines that `render` makes of it. */
  show<T>(answer: T, render: (answer: T) => readonly string[]): void;
  /** Prints a remark for people on standard error; not with --json. */
  note(text: string): void;
}

/** One run of a command: the system that it acts on, and how it prints. */
export interface Session extends Output {
  readonly api: ApiClient;
  readonly target: Target;
}

export function openSession(target: Target, json: boolean): Session {
  const fetch = explainUnreachable(target, signedFetch(target.region, target.credentials));
  return { api: new ApiClient(target.apiUrl, retryWhileResuming(fetch)), target, ...openOutput(json) };
}

export function openOutput(json: boolean): Output {
  return {
    json,
    show(answer, render) {
      const lines = json ? [JSON.stringify(answer, null, 2)] : render(printable(answer));
      if (lines.length > 0) console.log(lines.join('\n'));
    },
    note(text) {
      if (!json) console.error(text);
    },
  };
}

/** The same fetch; when the server cannot be reached, its error names the system and what to do. */
function explainUnreachable({ kind, name, apiUrl }: Target, fetch: Fetch): Fetch {
  return async (url, init) => {
    try {
      return await fetch(url, init);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
      const help = kind === 'local' ? 'start it again with npm start' : 'is this machine online?';
      throw new CliError(`${name} does not answer at ${apiUrl} (${code ?? message}): ${help}`, undefined, error);
    }
  };
}
