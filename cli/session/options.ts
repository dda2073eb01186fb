import { InvalidArgumentError } from 'commander';
import { parseAttribute } from '../../api/attribute-text.ts';
import { CliError, EXIT } from './failure.ts';

/** The values of an option that may be repeated, and that takes several values separated by commas. */
export const listOption = (value: string, before: readonly string[] = []): string[] => [
  ...before,
  ...value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
];

/** Parses an integer within a range. @throws InvalidArgumentError that names the range */
export function integerOption(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** An instant in the form that the API takes. @throws InvalidArgumentError */
export function timeOption(text: string): string {
  const at = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(at.getTime())) return at.toISOString();
  throw new InvalidArgumentError('Expected a time such as 2026-03-02T22:00:00Z.');
}

/** Attributes from arguments such as `site=rome`; an empty value becomes null. @throws CliError for any other form */
export function readAttributes(pairs: readonly string[]) {
  const read = pairs.map((pair) => {
    const attribute = parseAttribute(pair);
    if (attribute === undefined)
      throw new CliError(`"${pair}" is not an attribute; expected a form like site=rome`, EXIT.usage);
    return attribute;
  });
  return Object.fromEntries(read);
}
