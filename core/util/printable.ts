/**
 * The same value with a blank for each control character in its texts. Versions, names and messages come from devices and
 * uploads, and a terminal executes control characters.
 */
export function printable<T>(value: T): T {
  return printableValue(value) as T;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern is for control characters
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function printableValue(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(CONTROL, ' ');
  if (Array.isArray(value)) return value.map(printableValue);
  if (value === null || typeof value !== 'object' || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [printableValue(key), printableValue(each)]));
}
