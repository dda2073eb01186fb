import * as z from 'zod';
import { FACT_NAME, type FactValue, isKnownFact, knownFact, nameOfAlias } from '../protocol/index.ts';
import { oneOf } from './attribute-conditions.ts';

const range = z.strictObject({ min: z.number().optional(), max: z.number().optional() });

/** What a target filter asks of one fact: a value, a list of which one is enough, or a range of numbers. */
export type FactCondition = FactValue | readonly FactValue[] | z.infer<typeof range>;

const condition = z.union(
  [z.string(), z.number(), z.boolean(), oneOf, range],
  'expected text, a number, true, false, a list of these, or min and max',
);

/** Facts that a targeted device states, by their names; it must state all of them. */
export const factConditions = z.record(z.string(), condition).superRefine((facts, context) => {
  for (const [name, wanted] of Object.entries(facts)) {
    const message = whyInvalid(name, wanted);
    if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message });
  }
});

const isRange = (wanted: FactCondition): wanted is z.infer<typeof range> =>
  typeof wanted === 'object' && !Array.isArray(wanted);

function whyInvalid(name: string, wanted: FactCondition): string | undefined {
  const stored = nameOfAlias(name);
  if (stored !== undefined) return `is stored as ${stored}; use that name`;
  if (!FACT_NAME.test(name)) return 'is not the name of a fact; expected a letter, then letters, digits, ., - or _';
  const values = isRange(wanted) ? [] : [wanted].flat();
  if (isKnownFact(name)) {
    const { kind } = knownFact(name);
    if (kind === 'text' && (isRange(wanted) || values.some((value) => typeof value !== 'string')))
      return 'is text; expected a text such as "C" or "3"';
    if (kind === 'number' && values.some((value) => typeof value !== 'number'))
      return 'is a number; expected a number, or min and max';
  }
  if (!isRange(wanted)) return undefined;
  if (wanted.min === undefined && wanted.max === undefined) return 'has neither min nor max; expected at least one';
  if ((wanted.min ?? -Infinity) > (wanted.max ?? Infinity)) return 'min is above max, which no device states';
  return undefined;
}
