import { useSyncExternalStore } from 'react';
import { ApiError } from '../../../api/client.ts';

/** The problem type with which the console's own server refuses a call without an open session. */
const NO_SESSION = 'urn:paku-ota:console-no-session';
/** Name of the stored token, and of the channel by which tabs of this origin share it. */
const NAME = 'paku-ota-session';
const OTHER_TAB_MS = 300;

const listeners = new Set<() => void>();
let token = '';
let isOver = false;

/**
 * Opens the session of this tab: by the key in the address, else as stored for this tab, else as another tab has it. All
 * three belong to this origin, port included, so that no other program on this machine receives the token.
 */
export async function openSession(): Promise<void> {
  const key = new URLSearchParams(location.hash.slice(1)).get('key');
  if (key !== null) history.replaceState(null, '', location.pathname + location.search);
  token = (key === null ? readStored() : await exchange(key)) || (await askOtherTabs());
  sessionStorage.setItem(NAME, token);
  if (token === '') end();
  answerOtherTabs();
  // The address with a new key was pasted into this tab, which changes only the fragment.
  addEventListener('hashchange', () => location.hash.startsWith('#key=') && location.reload());
}

const readStored = () => sessionStorage.getItem(NAME) ?? '';

async function exchange(key: string): Promise<string> {
  const response = await fetch('/session', { method: 'POST', headers: { 'x-paku-ota-key': key } });
  if (!response.ok) return '';
  return ((await response.json()) as { token: string }).token;
}

function askOtherTabs(): Promise<string> {
  const channel = new BroadcastChannel(NAME);
  return new Promise<string>((resolve) => {
    channel.onmessage = ({ data }: MessageEvent<{ token?: string }>) => data.token && resolve(data.token);
    channel.postMessage({});
    setTimeout(() => resolve(''), OTHER_TAB_MS);
  }).finally(() => channel.close());
}

function answerOtherTabs(): void {
  const channel = new BroadcastChannel(NAME);
  channel.onmessage = ({ data }: MessageEvent<{ token?: string }>) => {
    if (data.token === undefined && token !== '' && !isOver) channel.postMessage({ token });
  };
}

/** The header that admits a call. */
export const sessionHeader = () => ({ authorization: `Bearer ${token}` });

/** Ends the session if the error says that it expired, or that the server was restarted. */
export function noteSessionEnd(error: Error): void {
  if (error instanceof ApiError && error.problem.type === NO_SESSION) end();
}

function end(): void {
  if (isOver) return;
  isOver = true;
  sessionStorage.removeItem(NAME);
  for (const each of listeners) each();
}

function subscribe(onChange: () => void): () => void {
  listeners.add(onChange);
  return () => listeners.delete(onChange);
}

/** True when this tab has no open session, so that every call is refused. */
export const useSessionEnd = () => useSyncExternalStore(subscribe, () => isOver);
