import { z } from 'zod';
import { escapeRegExp } from './text.ts';

/** Values of the `${…}` variables in policies, such as `iot:Connection.Thing.ThingName`. */
export type PolicyContext = Readonly<Record<string, string>>;

/** Statements of one principal, ready to be asked. */
export interface Policy {
  /** As IAM evaluates: an explicit Deny wins, no match is a refusal. */
  allows(action: string, resource: string, context?: PolicyContext): boolean;
}

/** One action on one resource that a statement allows, as patterns. */
export interface Grant {
  /** Whose policy it is in. */
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
}

/** Whoever wants to know which grants are of use. */
export interface Audit {
  /** A policy has this grant. @returns false to have it judge as if it had not */
  grant(grant: Grant): boolean;
  /** A policy has judged a call. @param by every grant that matches it; they decide nothing where it is not allowed */
  judged(call: Grant, allowed: boolean, by: readonly Grant[]): void;
}

const oneOrMany = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());

/** The elements that `lib/` emits. Any other, a Condition too, is an error: what is not understood must not be granted. */
const documentSchema = z.strictObject({
  Version: z.literal('2012-10-17'),
  Statement: z.array(z.strictObject({ Effect: z.enum(['Allow', 'Deny']), Action: oneOrMany, Resource: oneOrMany })),
});

interface Rule extends Grant {
  readonly effect: 'Allow' | 'Deny';
}

/**
 * Compiles policy documents of the form that `lib/` emits.
 *
 * @param principal whose documents they are
 * @throws Error that names the statement with any element that is not evaluated here
 */
export function compilePolicy(principal: string, documents: readonly unknown[], audit?: Audit): Policy {
  const rules = documents
    .flatMap((document) => parseDocument(principal, document))
    .filter((rule) => rule.effect === 'Deny' || audit === undefined || audit.grant(rule));
  return {
    allows(action, resource, context = {}) {
      const matching = rules.filter((rule) => matches(rule, action, resource, context));
      const allowed = matching.length > 0 && matching.every(({ effect }) => effect === 'Allow');
      audit?.judged({ principal, action, resource }, allowed, matching);
      return allowed;
    },
  };
}

function parseDocument(principal: string, document: unknown): Rule[] {
  const { data, error } = documentSchema.safeParse(document);
  if (error) {
    const text = JSON.stringify(document);
    throw new Error(`${principal}: its policy cannot be evaluated here. ${z.prettifyError(error)}: ${text}`);
  }
  return data.Statement.flatMap(({ Effect: effect, Action, Resource }) =>
    Action.flatMap((action) => Resource.map((resource) => ({ principal, effect, action, resource }))),
  );
}

function matches(rule: Rule, action: string, resource: string, context: PolicyContext): boolean {
  return (
    matchesPattern(rule.action.toLowerCase(), action.toLowerCase(), {}) &&
    matchesPattern(rule.resource, resource, context)
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
