import { ApiClient, type Fetch } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { printable } from '../text/printable.ts';
import { CliError } from './failure.ts';
import type { Target } from './target.ts';

/** One run of a command: the system it acts on and how it answers. */
export interface Session {
  readonly api: ApiClient;
  readonly target: Target;
  readonly json: boolean;
  /** Prints an answer of the API: untouched with --json, else as the lines that `render` makes of it. */
  show<T>(answer: T, render: (answer: T) => readonly string[]): void;
  /** A remark for people beside the answer: on standard error, and not with --json. */
  note(text: string): void;
}

export function openSession(target: Target, json: boolean): Session {
  return {
    api: new ApiClient(target.apiUrl, patient(reaching(target, signedFetch(target.region, target.credentials)))),
    target,
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

/** A server that is not there is said in words. */
function reaching({ kind, name, apiUrl }: Target, fetch: Fetch): Fetch {
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

const RESUMING_TRIES = 20;
const RESUMING_MS = 3_000;

/**
 * Waits for a database that resumes, which takes up to half a minute: the service says so itself, with problem details,
 * and has done nothing. A 503 of the gateway has none and is not repeated: nobody knows what was done.
 */
export function patient(
  fetch: Fetch,
  wait: (ms: number) => Promise<unknown> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): Fetch {
  return async (url, init) => {
    for (let left = RESUMING_TRIES; ; left--) {
      const response = await fetch(url, init);
      const isResuming = response.status === 503 && response.headers.get('content-type')?.includes('problem+json');
      if (!isResuming || left === 1) return response;
      if (left === RESUMING_TRIES) console.error('the database is resuming, one moment …');
      await wait(RESUMING_MS);
    }
  };
}
