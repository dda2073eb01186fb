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
