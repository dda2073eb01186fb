import { z } from 'zod';
import { escapeRegExp } from './text.ts';

/** Values of the `${…}` variables in policies, such as `iot:Connection.Thing.ThingName`. */
export type PolicyContext = Readonly<Record<string, string>>;

/** Statements of one principal, ready to be asked. */
export interface Policy {
  /** As IAM evaluates: an explicit Deny wins, no match is a refusal. */
  allows(action: string, resource: string, context?: PolicyContext): boolean;
}

const oneOrMany = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());

/** The elements that `lib/` emits. Any other, a Condition too, is an error: what is not understood must not be granted. */
const documentSchema = z.strictObject({
  Version: z.literal('2012-10-17'),
  Statement: z.array(z.strictObject({ Effect: z.enum(['Allow', 'Deny']), Action: oneOrMany, Resource: oneOrMany })),
});

type Statement = z.infer<typeof documentSchema>['Statement'][number];

/**
 * Compiles policy documents of the form that `lib/` emits.
 *
 * @param name whose documents they are, for the error message
 * @throws Error that names the statement with any element that is not evaluated here
 */
export function compilePolicy(name: string, documents: readonly unknown[]): Policy {
  const statements = documents.flatMap((document) => parseDocument(name, document));
  return {
    allows(action, resource, context = {}) {
      const effects = statements
        .filter((statement) => matches(statement, action, resource, context))
        .map(({ Effect }) => Effect);
      return effects.includes('Allow') && !effects.includes('Deny');
    },
  };
}

function parseDocument(name: string, document: unknown): Statement[] {
  const { data, error } = documentSchema.safeParse(document);
  if (data) return data.Statement;
  throw new Error(
    `${name}: its policy cannot be evaluated here. ${z.prettifyError(error)}: ${JSON.stringify(document)}`,
  );
}

function matches({ Action, Resource }: Statement, action: string, resource: string, context: PolicyContext): boolean {
  return (
    Action.some((pattern) => matchesPattern(pattern.toLowerCase(), action.toLowerCase(), {})) &&
    Resource.some((pattern) => matchesPattern(pattern, resource, context))
  );
}

/** A wildcard that comes out of a variable is an ordinary character; a variable without a value matches nothing. */
function matchesPattern(pattern: string, value: string, context: PolicyContext): boolean {
  const parts = pattern.split(/\$\{([^}]+)\}/).map((part, index) => {
    const isVariable = index % 2 === 1;
    return isVariable ? context[part] && escapeRegExp(context[part]) : wildcards(part);
  });
  return !parts.includes(undefined) && new RegExp(`^${parts.join('')}$`, 's').test(value);
}

const wildcards = (text: string) => escapeRegExp(text).replaceAll('\\*', '.*').replaceAll('\\?', '.');
