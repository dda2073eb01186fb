import { formatAttribute, parseAttribute } from './attribute-text.ts';

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

/** A condition of a target filter on a fact: `board_revision=C`, `battery_percent from 50 to 90`. */
export function formatFactCondition(name: string, wanted: FactValue | Range): string {
  if (typeof wanted !== 'object') return formatAttribute(name, wanted);
  const { min, max } = wanted;
  if (min === undefined) return `${name} up to ${max}`;
  return max === undefined ? `${name} from ${min}` : `${name} from ${min} to ${max}`;
}

/**
 * Parses conditions on facts as people write them: `board_revision=C`, `battery_percent>=50`, `battery_percent<=90`. Two
 * bounds of one fact are one range.
 * @returns the first text that is not a condition, or the conditions
 */
export function parseFactConditions(
  texts: readonly string[],
): { readonly invalid: string } | { readonly facts: Record<string, FactValue | Range> } {
  const facts = new Map<string, FactValue | Range>();
  for (const text of texts) {
    const [, name, bound, number] = /^\s*([^\s<>=]+)\s*(>=|<=)\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text) ?? [];
    if (name !== undefined) {
      const before = facts.get(name);
      const range = typeof before === 'object' ? before : {};
      facts.set(name, { ...range, [bound === '>=' ? 'min' : 'max']: Number(number) });
      continue;
    }
    const [attribute, value] = /[<>]/.test(text.slice(0, text.indexOf('='))) ? [] : (parseAttribute(text) ?? []);
    if (attribute === undefined || value === null || value === undefined) return { invalid: text };
    facts.set(attribute, value);
  }
  return { facts: Object.fromEntries(facts) };
}
