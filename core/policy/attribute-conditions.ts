import * as z from 'zod';

/** The most values of one list, and groups or versions of an exception. */
export const MAX_VALUES = 100;

const value = z.union([z.string(), z.number(), z.boolean()]);
type Value = z.infer<typeof value>;

/** Values of which a device must have one. The bound is a refinement, because a union hides the message of a `max`. */
export const oneOf = z
  .array(value)
  .min(1)
  .refine((values) => values.length <= MAX_VALUES, { error: `at most ${MAX_VALUES} entries` });

/** What a target filter asks of one attribute: a value, or a list of which one is enough. */
export type AttributeCondition = Value | readonly Value[];

/** Attributes of a device by their names; a value that is a list means one of its values. */
export const attributeConditions = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean(), oneOf], 'expected text, a number, true or false, or a list of these'),
);
