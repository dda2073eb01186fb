import { excerpt, isNoWord, isObject, type JsonObject, readNumber, readText } from '../../core/ingest/index.ts';
import {
  FACT_NAME,
  FACT_TEXT_LENGTH,
  type FactValue,
  isKnownFact,
  KNOWN_FACT_NAMES,
  type KnownFactName,
  knownFact,
  MAX_FREE_FACTS,
  nameOfAlias,
} from '../../core/protocol/index.ts';
import { printable } from '../../core/util/index.ts';

export interface ParsedFacts {
  readonly values: Readonly<Record<string, FactValue>>;
  /** The first fact that could not be used; null if all could. */
  readonly fault: string | null;
}

type Parsed = { readonly value: FactValue | null } | { readonly fault: string };

/**
 * Reads what a device states about itself. A known fact may be a field of the status or of its object `facts`, by its
 * name or by one of its aliases; the first that can be used counts. Any other fact is a field of `facts`. A fact that
 * cannot be used is left out and named by the fault; the others count.
 */
export function parseFacts(payload: JsonObject): ParsedFacts {
  const { facts } = payload;
  const stated = isObject(facts) ? facts : {};
  const values = new Map<string, FactValue>();
  const faults: string[] = [];
  if (facts !== undefined && facts !== null && !isObject(facts)) {
    faults.push(`facts is ${excerpt(facts)}; expected an object`);
  }
  for (const name of KNOWN_FACT_NAMES) {
    const found = parseKnown(name, [stated, payload]);
    if (found === undefined) continue;
    if ('fault' in found) faults.push(found.fault);
    else if (found.value !== null) values.set(name, found.value);
  }
  const free = Object.entries(stated).filter(([name, value]) => isFree(name) && value !== null && value !== '');
  for (const [name, value] of free.slice(0, MAX_FREE_FACTS)) {
    const parsed = parseFree(name, value);
    if ('fault' in parsed) faults.push(parsed.fault);
    else if (parsed.value !== null) values.set(name, parsed.value);
  }
  if (free.length > MAX_FREE_FACTS) {
    faults.push(`facts has ${free.length} entries; the first ${MAX_FREE_FACTS} are kept`);
  }
  return { values: Object.fromEntries(values), fault: faults[0] ?? null };
}

/** Objects that contain a known fact under one of its aliases, such as `flash` of `flash.size`. */
const PARENTS = new Set(
  KNOWN_FACT_NAMES.flatMap((name) => knownFact(name).aliases.filter((alias) => alias.includes('.'))).map(
    (alias) => alias.split('.')[0],
  ),
);

const isFree = (name: string) => !isKnownFact(name) && nameOfAlias(name) === undefined && !PARENTS.has(name);

/** The first usable value of the fact, otherwise the first fault; undefined if no source states it. */
function parseKnown(name: KnownFactName, sources: readonly JsonObject[]): Parsed | undefined {
  let fault: Parsed | undefined;
  for (const source of sources) {
    for (const alias of [name, ...knownFact(name).aliases]) {
      const value = fieldOf(source, alias);
      if (value === undefined || value === null || value === '') continue;
      const parsed = parseKnownValue(name, alias, value);
      if (!('fault' in parsed)) return parsed;
      fault ??= parsed;
    }
  }
  return fault;
}

function fieldOf(source: JsonObject, path: string): unknown {
  const [first = '', second] = path.split('.');
  const value = Object.hasOwn(source, first) ? source[first] : undefined;
  if (second === undefined) return value;
  return isObject(value) && Object.hasOwn(value, second) ? value[second] : undefined;
}

function parseKnownValue(name: KnownFactName, alias: string, value: unknown): Parsed {
  const { kind, min = 0, max = Number.MAX_SAFE_INTEGER } = knownFact(name);
  if (kind === 'text') return parseText(alias, value);
  const number = name === 'chip_revision' ? readRevision(value) : readNumber(value);
  const whole = number === null ? null : Math.trunc(number);
  if (whole !== null && whole >= min && whole <= max) return { value: whole };
  return {
    fault: `${alias} is ${excerpt(value)}; expected ${name.endsWith('_bytes') ? 'bytes, ' : ''}a number from ${min} to ${max}`,
  };
}

/** A revision as major × 100 + minor: `v3.1` is 301. A number is one already. */
function readRevision(value: unknown): number | null {
  const [, major, minor] = /^\s*v?(\d{1,3})\.(\d{1,2})\s*$/i.exec(typeof value === 'string' ? value : '') ?? [];
  return major === undefined ? readNumber(value) : Number(major) * 100 + Number(minor);
}

function parseText(name: string, value: unknown): Parsed {
  // The text is shown on terminals and pages.
  const text = printable(readText(value));
  if (text !== null && isNoWord(text)) return { value: null };
  if (text !== null && text.length <= FACT_TEXT_LENGTH) return { value: text };
  return { fault: `${name} is ${excerpt(value)}; expected text of 1 to ${FACT_TEXT_LENGTH} characters` };
}

/** A larger number has more digits than a number of JSON keeps, and PostgreSQL would store all zeros of it. */
const MAX_NUMBER = 1e15;

function parseFree(name: string, value: unknown): Parsed {
  if (!FACT_NAME.test(name)) {
    return {
      fault: `facts has the name ${excerpt(name)}; expected a letter, then at most 31 letters, digits, dots, hyphens or underscores`,
    };
  }
  if (typeof value === 'boolean') return { value };
  if (typeof value === 'string') return parseText(`facts.${name}`, value);
  if (typeof value === 'number' && Math.abs(value) <= MAX_NUMBER) return { value: roundTiny(value) };
  return { fault: `facts.${name} is ${excerpt(value)}; expected text, true, false or a number up to 1e15` };
}

/** PostgreSQL would store all zeros of 1e-300. */
const roundTiny = (value: number) => (Math.abs(value) < 1e-9 ? 0 : value);
