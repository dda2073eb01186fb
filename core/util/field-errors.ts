import type * as z from 'zod';

/**
 * What is wrong with one field and what was expected. `field` is a path such as `stages.0.percentage`; empty for the
 * whole value.
 */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** The errors of a schema, one per field. Missing and unknown fields are named. */
export const fieldErrors = (error: z.ZodError): FieldError[] =>
  error.issues.flatMap((issue) => {
    const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
    return paths.map((path) => ({ field: path.join('.'), message: describeIssue(issue) }));
  });

/** All errors on one line. */
export const describeErrors = (error: z.ZodError): string =>
  fieldErrors(error)
    .map(({ field, message }) => [field, message].filter(Boolean).join(': '))
    .join('; ');

function describeIssue(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return 'there is no such field';
    case 'invalid_value':
      return `expected ${issue.values.map(String).join(' or ')}`;
    case 'invalid_format':
      return issue.format === 'datetime' ? 'expected a time such as 2026-03-02T12:00:00Z' : issue.message;
    case 'invalid_type':
      return issue.message.endsWith('received undefined')
        ? `missing, expected ${issue.expected}`
        : issue.message.replace('Invalid input: ', '');
    case 'too_small':
      if (issue.minimum === 1 && issue.origin in UNITS) return 'must not be empty';
      return sizeText(issue.inclusive === false ? 'more than' : 'at least', issue.minimum, issue.origin);
    case 'too_big':
      return sizeText(issue.inclusive === false ? 'less than' : 'at most', issue.maximum, issue.origin);
    default:
      return issue.message.replace('Invalid input', 'not valid');
  }
}

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };
const sizeText = (bound: string, size: number | bigint, origin: string) => `${bound} ${size}${UNITS[origin] ?? ''}`;
