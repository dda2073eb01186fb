import { useSyncExternalStore } from 'react';
import { ApiError } from '../../../api/client.ts';

/** The problem type with which the console's own server refuses a page of an earlier run. */
const NO_SESSION = 'urn:paku-ota:console-no-session';

const listeners = new Set<() => void>();
let isOver = false;

/** Ends the session if the error says that the server was restarted since it served this page. */
export function noteSessionEnd(error: Error): void {
  if (!(error instanceof ApiError) || error.problem.type !== NO_SESSION || isOver) return;
  isOver = true;
  for (const each of listeners) each();
}

function subscribe(onChange: () => void): () => void {
  listeners.add(onChange);
  return () => listeners.delete(onChange);
}

/** True when the console was restarted, so that every call of this page is refused. */
export const useSessionEnd = () => useSyncExternalStore(subscribe, () => isOver);
