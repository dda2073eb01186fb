export type JsonObject = Record<string, unknown>;

/**
 * Replaces what PostgreSQL cannot store by U+FFFD: NUL (SQLSTATE 22P05 in jsonb, 22021 in text) and lone surrogates.
 */
export function toStorable<T>(value: T): T {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\0', '\uFFFD') as T;
  if (Array.isArray(value)) return value.map(toStorable) as T;
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [toStorable(key), toStorable(item)])) as T;
}

/** The start of a text. A surrogate pair that the cut splits becomes U+FFFD. */
export const truncate = (text: string, length: number): string => toStorable(text.slice(0, length));

/** The start of a value as JSON, for messages. */
export const excerpt = (value: unknown): string => truncate(JSON.stringify(value) ?? '', 80);

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Characters of {@link readableBeginning} that stand for themselves. */
const BEGINNING_LENGTH = 80;

/** The beginning of a payload for people: control characters as escapes, bytes that are not UTF-8 as U+FFFD. */
export function readableBeginning(bytes: Uint8Array): string {
  const text = Buffer.from(bytes)
    .subarray(0, BEGINNING_LENGTH * 4)
    .toString('utf8');
  const start = truncate(text, BEGINNING_LENGTH);
  const escaped = JSON.stringify(start).slice(1, -1).replaceAll('\\"', '"');
  return text.length > start.length ? `${escaped}…` : escaped;
}
