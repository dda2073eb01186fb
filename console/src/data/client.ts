import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiClient, ApiError } from '../../../api/client.ts';
import { noteEnd } from './session.ts';

/** The console's own server passes calls on; it signs them. */
export const api = new ApiClient('', (url, init) => fetch(url, init));

const POLL_MS = 3_000;

/** A refusal stays one when it is asked again. */
const isRefusal = (error: unknown) => error instanceof ApiError && error.problem.status < 500;

/** Everything that is shown is asked for again every few seconds, while the tab is visible. */
export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noteEnd }),
  mutationCache: new MutationCache({ onError: noteEnd }),
  defaultOptions: {
    queries: {
      // What is not there is not asked for again and again; "Try again" does.
      refetchInterval: ({ state }) => (isNotFound(state.error) ? false : POLL_MS),
      retry: (failures, error) => failures < 2 && !isRefusal(error),
      retryDelay: 1_000,
    },
  },
});

/** After something was changed: whatever is shown is read anew. */
export const refresh = () => queryClient.invalidateQueries();

export const isNotFound = (error: unknown) => error instanceof ApiError && error.problem.status === 404;

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
