/**
 * The same value with every control character of its texts replaced: versions, names and messages come from devices and
 * uploads, and a terminal would obey them.
 */
export function printable<T>(value: T): T {
  return printableValue(value) as T;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function printableValue(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(CONTROL, ' ');
  if (Array.isArray(value)) return value.map(printableValue);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [printableValue(key), printableValue(each)]));
}
