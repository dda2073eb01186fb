import { useSyncExternalStore } from 'react';
import { ApiError } from '../../../api/client.ts';

/** How the console's own server refuses a page that an earlier run of it gave out. */
const NO_SESSION = 'urn:paku-ota:console-no-session';

const listeners = new Set<() => void>();
let isOver = false;

/** Notes where the server behind this page is another than the one that gave it out. */
export function noteEnd(error: Error): void {
  if (!(error instanceof ApiError) || error.problem.type !== NO_SESSION || isOver) return;
  isOver = true;
  for (const each of listeners) each();
}

function subscribe(onChange: () => void): () => void {
  listeners.add(onChange);
  return () => listeners.delete(onChange);
}

/** Whether this page can do nothing more: the console was started anew since. */
export const useSessionEnd = () => useSyncExternalStore(subscribe, () => isOver);
