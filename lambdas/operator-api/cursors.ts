import { invalid } from './problems.ts';

/** Cursors are opaque to clients: the key of the last row, so that a page is the same however the list grows. */
export const encodeCursor = (key: string | number): string => Buffer.from(JSON.stringify(key)).toString('base64url');

/** @throws Refusal for a text that no page gave */
export function decodeCursor(cursor: string | undefined, type: 'string'): string | null;
export function decodeCursor(cursor: string | undefined, type: 'number'): number | null;
export function decodeCursor(cursor: string | undefined, type: 'string' | 'number'): string | number | null {
  if (cursor === undefined) return null;
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (type === 'number' ? Number.isSafeInteger(key) : typeof key === 'string') return key as string | number;
  } catch {
    // Falls through to the refusal.
  }
  throw invalid('cursor', 'is not one that a page of this list gave as next_cursor');
}

/** A page of rows; there may be a next one when it is full. */
export function toPage<T>(rows: T[], limit: number, keyOf: (row: T) => string | number) {
  const last = rows.length < limit ? undefined : rows.at(-1);
  return { items: rows, next_cursor: last === undefined ? null : encodeCursor(keyOf(last)) };
}
