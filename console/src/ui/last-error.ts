import { useState } from 'react';

interface Asked {
  readonly data: unknown;
  readonly error: Error | null;
}

/**
 * Why there is nothing to show, also while it is asked for again: a query without data forgets its error then, and the
 * page would flicker. @param key of what is asked for
 */
export function useLastError({ data, error }: Asked, key = ''): Error | null {
  const [last, setLast] = useState({ key, error });
  if (key !== last.key || (error !== null && error !== last.error)) setLast({ key, error });
  if (data !== undefined || key !== last.key) return error;
  return error ?? last.error;
}
