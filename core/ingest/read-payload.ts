import { excerpt, isObject, type JsonObject, parseJson, toStorable } from './sanitize.ts';
import { MAX_LEVELS, readTolerantJson, TEXT_FIELDS } from './tolerant-json.ts';

/** A payload as far as it can be read. */
export interface PayloadReading {
  /** The fields that could be read. */
  readonly payload: JsonObject;
  /** What could not be read and where; null if the payload was read whole. */
  readonly fault: string | null;
  /** False if nothing could be read. */
  readonly isReadable: boolean;
}

/** What some clients publish in place of an object, such as a last will that is one word. */
const WORDS = new Map<string, JsonObject>([
  ['online', { online: true }],
  ['offline', { online: false }],
]);

/** Reads the payload of a device; accepts any bytes. */
export function readPayload(bytes: Uint8Array): PayloadReading {
  // A message from a buffer of fixed size ends in NUL bytes; text in UTF-16 has one after each letter.
  const text = Buffer.from(bytes).toString('utf8').replaceAll('\0', '').trim();
  const parsed = parseJson(text);
  const unwrapped = readList(text, parsed) ?? readQuoted(parsed);
  if (unwrapped !== undefined) return unwrapped;
  if (isObject(parsed) && !isDeep(text, parsed) && !hasBareVersion(parsed)) {
    // Decoded UTF-8 contains characters that cannot be stored only if the JSON has escapes.
    const payload = text.includes('\\u') ? toStorable(parsed) : parsed;
    return { payload, fault: null, isReadable: true };
  }
  if (bytes.length === 0) return unreadable('the payload is empty');
  const word = WORDS.get(text.replace(/^"|"$/g, '').toLowerCase());
  if (word !== undefined) return { payload: word, fault: null, isReadable: true };
  if (parsed !== undefined && !isObject(parsed)) return unreadable(`expected a JSON object: ${excerpt(parsed)}`);
  const { value, fault } = readTolerantJson(text);
  if (value === undefined) return unreadable(`character 1: expected a JSON object: ${excerpt(text.slice(0, 24))}`);
  const isReadable = fault === null || Object.keys(value).length > 0;
  if (isReadable) return { payload: toStorable(value), fault, isReadable };
  return readEscaped(text) ?? unreadable(fault);
}

/** Reads a list of objects as one object, in which later fields replace earlier ones; undefined for anything else. */
function readList(text: string, parsed: unknown): PayloadReading | undefined {
  if (!Array.isArray(parsed) || parsed.length === 0 || !parsed.every(isObject)) return undefined;
  const { value, fault } = readTolerantJson(`{"list":${text}}`);
  const items = Array.isArray(value?.list) ? value.list.filter(isObject) : [];
  const payload = toStorable(Object.fromEntries(items.flatMap((item) => Object.entries(item))));
  return { payload, fault: fault ?? 'the object is wrapped in a list', isReadable: true };
}

/** Reads a text that is JSON itself; undefined for anything else. */
function readQuoted(parsed: unknown): PayloadReading | undefined {
  if (typeof parsed !== 'string' || !parsed.trimStart().startsWith('{')) return undefined;
  const reading = readPayload(Buffer.from(parsed));
  return reading.isReadable ? { ...reading, fault: reading.fault ?? 'the object is wrapped in a text' } : undefined;
}

/** Reads an object all of whose quotes are escaped; undefined for anything else. */
function readEscaped(text: string): PayloadReading | undefined {
  if (!text.includes('\\"')) return undefined;
  const { value = {}, fault } = readTolerantJson(text.replaceAll('\\"', '"'));
  if (Object.keys(value).length === 0) return undefined;
  return { payload: toStorable(value), fault: fault ?? 'its quotes are escaped', isReadable: true };
}

const unreadable = (fault: string): PayloadReading => ({ payload: {}, fault, isReadable: false });

/** True if a version is a number, whose digits as they were sent only the text has. */
const hasBareVersion = (payload: JsonObject) =>
  [...TEXT_FIELDS].some((field) => Object.hasOwn(payload, field) && typeof payload[field] === 'number');

/** Counts brackets first: few payloads have enough of them to be too deep, and only those need a traversal. */
function isDeep(text: string, payload: JsonObject): boolean {
  let brackets = 0;
  for (let at = 0; at < text.length && brackets <= MAX_LEVELS; at++) {
    if (text[at] === '{' || text[at] === '[') brackets++;
  }
  return brackets > MAX_LEVELS && levelsOf(payload) > MAX_LEVELS;
}

/**
 * Counts the levels of objects and lists one by one, without recursion, so that hostile nesting costs time in
 * proportion to its bytes and no stack.
 */
function levelsOf(root: unknown): number {
  let level = [root];
  for (let levels = 0; ; levels++) {
    level = level.filter((value) => typeof value === 'object' && value !== null);
    if (level.length === 0 || levels > MAX_LEVELS) return levels;
    level = level.flatMap((value) => Object.values(value as object));
  }
}
