import * as z from 'zod';
import { FACT_NAME, isVolatileFact, nameOfAlias } from '../protocol/index.ts';
import { someNames } from '../util/index.ts';
import type { Reach, Stage } from './rollout-plan.ts';

/** Names whose values a first stage can cover. */
export const MAX_COVERED_NAMES = 3;

/** Characters of a value that are compared and shown. */
export const COVERED_VALUE_LENGTH = 64;

/**
 * Properties of devices that tell kinds of them apart: `version`, an attribute (`attributes.site`) or a fact
 * (`facts.board_revision`). The database checks the same form.
 */
export const coveredNames = z
  .array(z.string().max(80))
  .min(1)
  .max(MAX_COVERED_NAMES)
  .superRefine((names, context) => {
    for (const [index, name] of names.entries()) {
      const message = names.indexOf(name) < index ? 'is named twice' : whyInvalid(name);
      if (message !== undefined) context.addIssue({ code: 'custom', path: [index], message: `"${name}" ${message}` });
    }
  });

function whyInvalid(name: string): string | undefined {
  if (name === 'version') return undefined;
  const [, kind, rest = ''] = /^(attributes|facts)\.(.{1,64})$/su.exec(name) ?? [];
  if (kind === undefined || (kind === 'facts' && !FACT_NAME.test(rest)))
    return 'is not version, attributes.<name> or facts.<name>, such as attributes.site or facts.board_revision';
  if (kind === 'attributes') return undefined;
  const stored = nameOfAlias(rest);
  if (stored !== undefined) return `is stored as ${stored}; use facts.${stored}`;
  return isVolatileFact(rest) ? 'changes while a device runs, so it tells no kinds of devices apart' : undefined;
}

/**
 * The stage whose devices are picked by what they cover: the first that is not of a group. Undefined in a slow start,
 * and in a rollout without stages.
 */
export function coveringStage(
  stages: readonly Stage[] | null,
): { readonly index: number; readonly reach: Exclude<Reach, { readonly group: string }> } | undefined {
  for (const [index, { reach }] of (stages ?? []).entries()) if (!('group' in reach)) return { index, reach };
  return undefined;
}

/** A value that the first stage does not cover. */
export interface ValueLeftOut {
  /** Null: devices that have no value. */
  readonly value: string | null;
  readonly devices: number;
  /** False if none of them can be updated now and was heard of lately. */
  readonly isReachable: boolean;
}

/** How the first stage covers the values of one name. */
export interface Coverage {
  readonly name: string;
  /** Distinct values of the targeted devices; no value is one of them. */
  readonly values: number;
  readonly covered: number;
  /** True if no targeted device has a value. */
  readonly isUnknown: boolean;
  /** Those with most devices first; not all of them if there are many. */
  readonly leftOut: readonly ValueLeftOut[];
}

/**
 * Warns of values of one name that the first stage leaves out, or of a name that no device has; undefined if it covers all.
 * @param devices of the first stage
 */
export function describeUncovered(
  { name, values, covered, isUnknown, leftOut }: Coverage,
  devices: number,
): string | undefined {
  if (isUnknown) return `no device that the rollout would update has ${name}: is that its name?`;
  if (covered === values) return undefined;
  const missing = values - covered;
  const named = leftOut.map(({ value, devices: of, isReachable }) => {
    const absent = isReachable ? '' : ', none of which can be updated now and was heard of in the last 24 h';
    return `${value ?? 'not reported'} (${of} ${of === 1 ? 'device' : 'devices'}${absent})`;
  });
  const size = `the first stage has ${devices} ${devices === 1 ? 'device' : 'devices'}`;
  const subject = missing === 1 ? '1 of them meets' : `${missing} of them meet`;
  return `${size}; the targeted devices have ${values} values of ${name}, and ${subject} the build in a later stage: ${someNames(named, missing)}`;
}
