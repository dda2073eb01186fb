import { toStorable } from './sanitize.ts';

/** Numbers as programs print them, also with a sign, without a leading zero, or with a point and no decimals. */
export const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** What printf, Arduino's Print and Python write for a number that is none. */
export const NOT_A_NUMBER = /^[+-]?(?:nan|inf|infinity|ovf)(?:\(.*)?$|^[+-]?1\.#/i;
/** Words for booleans and null in JSON and in other languages, in lower case. */
export const LITERALS = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['none', null],
  ['nil', null],
  ['undefined', null],
]);
const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** The text of a quoted value; an escape that JSON does not have stands for its character. */
export const unescapeText = (raw: string): string =>
  toStorable(
    raw.replace(/\\(?:u([0-9a-fA-F]{4})|([\s\S]))/g, (_, hex: string | undefined, char: string) =>
      hex === undefined ? (ESCAPES[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
    ),
  );
