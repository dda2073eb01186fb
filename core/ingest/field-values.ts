/** Text of a field, without spaces and fill characters around it; a number as its digits. Null if there is none. */
export function readText(value: unknown): string | null {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string') return null;
  // U+FFFD stands for a NUL of a buffer of fixed size.
  const text = value.replace(/^[\s\uFFFD]+|[\s\uFFFD]+$/g, '');
  return text === '' ? null : text;
}

/** A number, also one that was sent as text, such as "45" or "45%". Null if it is none. */
export function readNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string') return null;
  const match = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*%?[\s\uFFFD]*$/.exec(value.slice(0, 64));
  const number = match === null ? Number.NaN : Number(match[1]);
  return Number.isFinite(number) ? number : null;
}

/** What programs write in place of a text that they do not have. */
const NO_WORD = /^(?:\(?null\)?|nil|none|nan|undefined|unknown|n\/a|\?+|-+)$/i;

/** True if the text stands for a text that the program does not have, such as `(null)` or `unknown`. */
export const isNoWord = (text: string): boolean => NO_WORD.test(text);

const BOOLEANS = new Map([
  ['true', true],
  ['false', false],
  ['1', true],
  ['0', false],
  ['yes', true],
  ['no', false],
  ['on', true],
  ['off', false],
]);

/** A boolean, also one that was sent as 0, 1 or a word. Null if it is none. */
export function readBoolean(value: unknown): boolean | null {
  if (typeof value === 'boolean') return value;
  return BOOLEANS.get(readText(value)?.toLowerCase() ?? '') ?? null;
}
