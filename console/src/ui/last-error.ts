import { useState } from 'react';

interface QueryResult {
  readonly data: unknown;
  readonly error: Error | null;
}

/**
 * The error of a query without data, also while the query runs again. The query clears its error then, and without this
 * the page would flicker.
 * @param key identifies the query; a new key starts without an error
 */
export function useLastError({ data, error }: QueryResult, key = ''): Error | null {
  const [last, setLast] = useState({ key, error });
  if (key !== last.key || (error !== null && error !== last.error)) setLast({ key, error });
  if (data !== undefined || key !== last.key) return error;
  return error ?? last.error;
}
