import type { LimitPer } from '../core/policy/index.ts';

/**
 * Parses a limit for each value of an attribute as people write it: `site=2`.
 * @returns undefined if it is not a name, `=` and a number from 1 to 999999
 */
export function parseLimitPer(text: string): LimitPer | undefined {
  const [, attribute, max] = /^\s*(\S(?:[^=]*[^\s=])?)\s*=\s*([1-9]\d{0,5})\s*$/.exec(text) ?? [];
  return attribute === undefined ? undefined : { attribute, max: Number(max) };
}

/** `site=2`; empty without a limit. */
export const formatLimitPer = (limit: LimitPer | null): string =>
  limit === null ? '' : `${limit.attribute}=${limit.max}`;
