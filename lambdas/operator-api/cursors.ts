import { invalid } from './problems.ts';

/**
 * A cursor is opaque to clients and contains the key of the last row, so that pages stay the same while the list grows.
 */
export const encodeCursor = (key: string | number): string => Buffer.from(JSON.stringify(key)).toString('base64url');

/** @throws RefusedCall for a text that is not a cursor */
export function decodeCursor(cursor: string | undefined, type: 'string'): string | null;
export function decodeCursor(cursor: string | undefined, type: 'number'): number | null;
export function decodeCursor(cursor: string | undefined, type: 'string' | 'number'): string | number | null {
  if (cursor === undefined) return null;
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (type === 'number' ? Number.isSafeInteger(key) : typeof key === 'string') return key as string | number;
  } catch {
    // The refusal follows below.
  }
  throw invalid('cursor', 'is not a next_cursor of a page of this list');
}

/** A page of rows; a full page may have a next one. */
export function toPage<T>(rows: T[], limit: number, keyOf: (row: T) => string | number) {
  const last = rows.length < limit ? undefined : rows.at(-1);
  return { items: rows, next_cursor: last === undefined ? null : encodeCursor(keyOf(last)) };
}
