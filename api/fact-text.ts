import { addValue, formatAttributeCondition, parseAttribute } from './attribute-text.ts';

type FactValue = string | number | boolean;

/** A fact that a device states, as people read it: `1,310,720 bytes`, `80%`, `v3.1`. */
export function describeFact(name: string, value: FactValue): string {
  if (typeof value !== 'number') return String(value);
  if (name === 'chip_revision') return describeRevision(value);
  const text = value.toLocaleString('en', { maximumFractionDigits: 9 });
  if (name.endsWith('_bytes')) return `${text} bytes`;
  return name.endsWith('_percent') ? `${text}%` : text;
}

/** A chip revision as people write it: `v3.1` for 301. */
const describeRevision = (revision: number) => `v${Math.floor(revision / 100)}.${revision % 100}`;

interface Range {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

type FactCondition = FactValue | FactValue[] | Range;

const isRange = (wanted: FactCondition | undefined): wanted is Range =>
  typeof wanted === 'object' && !Array.isArray(wanted);

/**
 * Formats a condition of a target filter on a fact: `board_revision=B or C`, `battery_percent from 50 to 90`.
 * @param most maximum values to list; the others are only counted
 */
export function formatFactCondition(name: string, wanted: FactCondition, most?: number): string {
  if (!isRange(wanted)) return formatAttributeCondition(name, wanted, most);
  const { min, max } = wanted;
  if (min === undefined) return `${name} up to ${max}`;
  return max === undefined ? `${name} from ${min}` : `${name} from ${min} to ${max}`;
}

/**
 * Parses conditions on facts as people write them: `board_revision=C`, `battery_percent>=50`, `battery_percent<=90`. Two
 * bounds of one fact are one range, and several values a list, of which one is enough.
 * @returns the first text that is not a condition or contradicts one before it, or the conditions
 */
export function parseFactConditions(
  texts: readonly string[],
): { readonly invalid: string } | { readonly facts: Record<string, FactCondition> } {
  const facts = new Map<string, FactCondition>();
  for (const text of texts) {
    const [, name, bound, number] = /^\s*([^\s<>=]+)\s*(>=|<=)\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text) ?? [];
    if (name !== undefined) {
      const before = facts.get(name) ?? {};
      if (!isRange(before)) return { invalid: text };
      facts.set(name, { ...before, [bound === '>=' ? 'min' : 'max']: Number(number) });
      continue;
    }
    const [fact, value] = /[<>]/.test(text.slice(0, text.indexOf('='))) ? [] : (parseAttribute(text) ?? []);
    if (fact === undefined || value === null || value === undefined) return { invalid: text };
    const before = facts.get(fact);
    if (isRange(before)) return { invalid: text };
    facts.set(fact, addValue(before, value));
  }
  return { facts: Object.fromEntries(facts) };
}
