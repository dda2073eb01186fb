import { LITERALS, NOT_A_NUMBER, NUMBER, unescapeText } from './json-words.ts';
import { excerpt, type JsonObject, truncate } from './sanitize.ts';

/** Maximum levels of objects and lists. Deeper nesting could exhaust the stack of code that processes the value. */
export const MAX_LEVELS = 15;

/**
 * Fields whose values are text even where the quotes are missing: as a number, version 1.10 would become 1.1, which is
 * another version.
 */
export const TEXT_FIELDS: ReadonlySet<string> = new Set(
  'firmware_version version target_version current_version device_model device_id'.split(' '),
);

const WHITESPACE = /\s*/y;
const SEPARATORS = /[\s,;]*/y;
const BARE_WORD = /[^\s,;:={}[\]"']+/y;
/** The name of a field with its colon. */
const NAME = /(?:"[^"\\]{1,64}"|'[^'\\]{1,64}')\s*:/y;
const NEXT_NAME = new RegExp(NAME.source, 'g');
const MAX_NAME_LENGTH = 40;

/** Stands for a value that cannot be read; its field is left out. */
const UNREADABLE = Symbol('unreadable');

/** The fields of a damaged JSON object that can be read. */
export interface TolerantReading {
  /** Undefined if the text contains no object. */
  readonly value: JsonObject | undefined;
  /** The first fault with its position, and the number of further ones; null if the object was read whole. */
  readonly fault: string | null;
}

/**
 * Reads the JSON of devices that print it by hand: `nan`, `1.`, missing quotes and commas, comments, text around the object, and
 * objects that are cut off. A value that is cut off or followed by text that does not belong to it is left out, since
 * part of a version is another version. Of two fields with one name the last counts, as in JSON.parse. Takes time in
 * proportion to the length of the text.
 */
export function readTolerantJson(text: string): TolerantReading {
  const reader = new Reader(text);
  const value = reader.readRoot();
  return { value, fault: reader.fault };
}

class Reader {
  readonly #text: string;
  #at = 0;
  #isCut = false;
  /** Ends of comments that do not come any more. */
  readonly #absent = new Set<string>();
  #lastApostrophe: number | undefined;
  #firstFault: string | undefined;
  #faults = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get fault(): string | null {
    if (this.#firstFault === undefined) return null;
    const more = this.#faults - 1;
    return more === 0 ? this.#firstFault : `${this.#firstFault} (and ${more} more fault${more === 1 ? '' : 's'})`;
  }

  readRoot(): JsonObject | undefined {
    this.#skip(WHITESPACE);
    if (this.#text[this.#at] !== '"') {
      const begin = this.#at;
      const brace = this.#text.indexOf('{', begin);
      if (brace === -1 && !this.#goToName()) return undefined;
      if (brace !== -1) this.#at = brace + 1;
      if (brace !== begin) this.#report(begin, `text before the object: ${this.#excerpt(begin)}`);
    }
    const fields = new Map(this.#readFields(1));
    for (;;) {
      this.#skip(WHITESPACE);
      if (this.#at >= this.#text.length) break;
      this.#report(this.#at, `text after the object: ${this.#excerpt(this.#at)}`);
      // A brace too many may stand in front of further fields. Those that were read before it count.
      if (!this.#goToName()) break;
      for (const [name, value] of this.#readFields(1)) if (!fields.has(name)) fields.set(name, value);
    }
    return Object.fromEntries(fields);
  }

  /** Reads to the closing brace, which it consumes, or to the end of the text. */
  #readFields(level: number): [string, unknown][] {
    const fields: [string, unknown][] = [];
    for (;;) {
      this.#skip(SEPARATORS);
      if (this.#isAtEnd('an object')) return fields;
      if (this.#text[this.#at] === '}') {
        this.#at++;
        return fields;
      }
      const start = this.#at;
      const name = this.#readName();
      if (this.#isCut) return fields;
      if (name === undefined) {
        this.#report(start, `expected a field: ${this.#excerpt(start)}`);
        if (this.#text[start] === '{') this.#at = start + 1;
        else if (!this.#goToOpeningQuote(start)) this.#skipToFieldOrName(start);
        continue;
      }
      const value = this.#readValue(name, level);
      if (value !== UNREADABLE) fields.push([name, value]);
    }
  }

  /** The name of a field with its colon; undefined if there is none. */
  #readName(): string | undefined {
    if (this.#isStrayApostrophe()) return undefined;
    const isQuoted = isQuote(this.#text[this.#at]);
    const name = isQuoted ? this.#readString('the name of a field') : this.#match(BARE_WORD);
    if (name === '' && !isQuoted) return undefined;
    this.#skip(WHITESPACE);
    if (this.#isAtEnd(`field ${nameText(name ?? '')}`)) return undefined;
    if (this.#text[this.#at] !== ':' && this.#text[this.#at] !== '=') return undefined;
    this.#at++;
    return name;
  }

  #readValue(name: string, level: number): unknown {
    this.#skip(WHITESPACE);
    const field = `field ${nameText(name)}`;
    if (this.#isAtEnd(field)) return UNREADABLE;
    const start = this.#at;
    switch (this.#text[start]) {
      case '{':
      case '[':
        return this.#readNested(name, level + 1);
      case '"':
      case "'":
        return this.#readText(field, start);
      case ',':
      case '}':
      case ']':
        this.#report(start, `${field} has no value`);
        return UNREADABLE;
      default:
        return this.#readBare(name, start);
    }
  }

  #readNested(name: string, level: number): unknown {
    if (level > MAX_LEVELS) {
      this.#report(this.#at, `field ${nameText(name)} is nested deeper than ${MAX_LEVELS} levels`);
      this.#skipNested();
      return UNREADABLE;
    }
    const opening = this.#text[this.#at++];
    return opening === '{' ? Object.fromEntries(this.#readFields(level)) : this.#readItems(name, level);
  }

  #readItems(name: string, level: number): unknown[] {
    const items: unknown[] = [];
    for (;;) {
      this.#skip(SEPARATORS);
      if (this.#isAtEnd(`field ${nameText(name)}`)) return items;
      const start = this.#at;
      const char = this.#text[start];
      // The brace, or the name, belongs to the object around the list.
      if (char === '}' || (isQuote(char) && this.#isAtName())) {
        this.#report(start, `field ${nameText(name)} is a list without an end`);
        return items;
      }
      if (char === ']' || char === ':' || char === '=') {
        this.#at++;
        if (char === ']') return items;
        continue;
      }
      const value = this.#readValue(name, level);
      if (value !== UNREADABLE) items.push(value);
      if (this.#at === start) this.#at++;
    }
  }

  /** A quoted value. It counts only if something follows that may follow a value. */
  #readText(field: string, start: number): unknown {
    if (this.#isStrayApostrophe()) {
      this.#report(start, `${field} is text without an end: ${this.#excerpt(start)}`);
      this.#skipToNextField(start);
      return UNREADABLE;
    }
    const text = this.#readString(field);
    if (text === undefined) return UNREADABLE;
    const closing = this.#at - 1;
    this.#skip(WHITESPACE);
    if (this.#isValueEnd(closing + 1)) return text;
    this.#report(start, `${field} is followed by text that does not belong to it: ${this.#excerpt(this.#at)}`);
    if (endsAtNextField(text)) this.#at = closing;
    else this.#skipToNextField(this.#at);
    return UNREADABLE;
  }

  #readBare(name: string, start: number): unknown {
    const field = `field ${nameText(name)}`;
    const word = this.#match(BARE_WORD);
    if (word === '') {
      this.#report(start, `${field} has no readable value: ${this.#excerpt(start)}`);
      this.#skipToNextField(start);
      return UNREADABLE;
    }
    if (this.#isAtEnd(field)) return UNREADABLE;
    const literal = LITERALS.get(word.toLowerCase());
    if (literal !== undefined) return literal;
    if (NOT_A_NUMBER.test(word)) {
      this.#report(start, `${field} is ${truncate(word, MAX_NAME_LENGTH)}`);
      return null;
    }
    const isNumber = NUMBER.test(word);
    if (isNumber && !TEXT_FIELDS.has(name)) return Number(word);
    const end = this.#at;
    this.#skip(WHITESPACE);
    const isComplete = this.#isValueEnd(end);
    if (!(isNumber && isComplete)) this.#report(start, `${field} is text without quotes: ${this.#excerpt(start)}`);
    if (isComplete) return word;
    this.#skipToNextField(this.#at);
    return UNREADABLE;
  }

  /** True if a value that ended at `end` may be followed by the text from here on. */
  #isValueEnd(end: number): boolean {
    const next = this.#text[this.#at];
    if (isQuote(next)) return this.#at > end || this.#isAtName();
    return next === undefined || ',;}]'.includes(next);
  }

  /** The text between quotes; undefined if it has no end. */
  #readString(where: string): string | undefined {
    const quote = this.#text[this.#at];
    const start = ++this.#at;
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (char === '\\') this.#at++;
      else if (char === quote) return unescapeText(this.#text.slice(start, this.#at++));
    }
    this.#at = this.#text.length;
    this.#isAtEnd(where);
    return undefined;
  }

  /** True for a single quote without another one after it. Unlike a double quote it is hardly that of a cut message. */
  #isStrayApostrophe(): boolean {
    if (this.#text[this.#at] !== "'") return false;
    this.#lastApostrophe ??= this.#text.lastIndexOf("'");
    return this.#at === this.#lastApostrophe;
  }

  /** Skips an object or a list with everything in it. */
  #skipNested(): void {
    let levels = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (char === '"') {
        if (this.#readString('a nested value') === undefined) return;
        this.#at--;
      } else if (char === '{' || char === '[') levels++;
      else if ((char === '}' || char === ']') && --levels === 0) {
        this.#at++;
        return;
      }
    }
  }

  /** Goes to the next name of a field in quotes; false if there is none. */
  #goToName(): boolean {
    NEXT_NAME.lastIndex = this.#at;
    const next = NEXT_NAME.exec(this.#text);
    this.#at = next?.index ?? this.#text.length;
    return next !== null;
  }

  /** True if the name of a field begins here. */
  #isAtName(): boolean {
    NAME.lastIndex = this.#at;
    return NAME.test(this.#text);
  }

  /** Goes back to the quote that seemed to close the text at `start`, if it opens the next field. */
  #goToOpeningQuote(start: number): boolean {
    const quote = this.#text[start];
    const closing = isQuote(quote) ? this.#text.indexOf(quote as string, start + 1) : -1;
    if (closing === -1 || closing >= this.#at || !endsAtNextField(this.#text.slice(start + 1, closing))) return false;
    this.#at = closing;
    return true;
  }

  /** Goes to the next comma, closing brace or name of a field after `start`. */
  #skipToFieldOrName(start: number): void {
    for (this.#at = start + 1; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (char === ',' || char === '}' || (isQuote(char) && this.#isAtName())) return;
    }
  }

  /** Goes to the next comma or closing brace after `start`. */
  #skipToNextField(start: number): void {
    this.#at = Math.max(this.#at, start);
    while (this.#at < this.#text.length && this.#text[this.#at] !== ',' && this.#text[this.#at] !== '}') this.#at++;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [match = ''] = pattern.exec(this.#text) ?? [];
    this.#at += match.length;
    return match;
  }

  /** Skips what the pattern matches, and comments between. */
  #skip(pattern: RegExp): void {
    do this.#match(pattern);
    while (this.#skipComment());
  }

  #skipComment(): boolean {
    const isBlock = this.#text.startsWith('/*', this.#at);
    if (!isBlock && !this.#text.startsWith('//', this.#at)) return false;
    const end = isBlock ? '*/' : '\n';
    if (this.#absent.has(end)) return false;
    const at = this.#text.indexOf(end, this.#at + 2);
    if (at === -1) {
      // Looked for once, so that the time stays in proportion to the length of the text.
      this.#absent.add(end);
      return false;
    }
    this.#at = at + end.length;
    return true;
  }

  /** True if the text ends here, which is reported once. */
  #isAtEnd(where: string): boolean {
    if (this.#at < this.#text.length) return false;
    if (!this.#isCut) this.#report(this.#text.length, `the payload ends within ${where}`);
    this.#isCut = true;
    return true;
  }

  #report(at: number, what: string): void {
    this.#faults++;
    this.#firstFault ??= `character ${at + 1}: ${what}`;
  }

  #excerpt(at: number): string {
    return excerpt(this.#text.slice(at, at + 24));
  }
}

/** Without its closing quote a text runs to the opening quote of the next field. */
const endsAtNextField = (text: string) => /[,\n]\s*$/.test(text.slice(-8));

const isQuote = (char: string | undefined) => char === '"' || char === "'";

const nameText = (name: string) => excerpt(truncate(name, MAX_NAME_LENGTH));
