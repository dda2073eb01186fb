import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiClient, ApiError } from '../../../api/client.ts';
import { noteSessionEnd, sessionHeader } from './session.ts';

/** Calls go to the console's own server, which signs them and sends them to the API. */
export const api = new ApiClient('', (url, init) =>
  fetch(url, { ...init, headers: { ...init.headers, ...sessionHeader() } }),
);

const POLL_MS = 3_000;

/** A refused call is not worth repeating. */
const isRefusal = (error: unknown) => error instanceof ApiError && error.problem.status < 500;

/** Every query is repeated every few seconds while the tab is visible. */
export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noteSessionEnd }),
  mutationCache: new MutationCache({ onError: noteSessionEnd }),
  defaultOptions: {
    queries: {
      // A missing resource is not polled; the button "Try again" repeats the query.
      refetchInterval: ({ state }) => (isNotFound(state.error) ? false : POLL_MS),
      retry: (failures, error) => failures < 2 && !isRefusal(error),
      retryDelay: 1_000,
    },
  },
});

/** Reloads every query; called after a change. */
export const refresh = () => queryClient.invalidateQueries();

export const isNotFound = (error: unknown) => error instanceof ApiError && error.problem.status === 404;

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
