import { z } from 'zod';
import { escapeRegExp } from './text.ts';

/** Values of the condition keys of a call, which are also the `${…}` variables of policies, such as `iot:Topic`. */
export type PolicyContext = Readonly<Record<string, string>>;

/** The compiled policy statements of one principal. */
export interface Policy {
  /** Evaluates as IAM does: an explicit Deny wins, and no match means no. */
  allows(action: string, resource: string, context?: PolicyContext): boolean;
}

/** One allowed action on one resource, as patterns. */
export interface Grant {
  /** The principal of the policy. */
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  /** Keys that must have one of the patterns as their value. */
  readonly conditions?: Conditions;
}

/** The patterns of each condition key. */
export type Conditions = Readonly<Record<string, readonly string[]>>;

/** Observes grants, to find out which ones are used. */
export interface Audit {
  /** Called for each grant of a policy. @returns false to evaluate the policy without the grant */
  grant(grant: Grant): boolean;
  /** Called after each evaluation. @param by every grant that matches the call, also if a Deny refuses it */
  evaluated(call: Grant, allowed: boolean, by: readonly Grant[]): void;
}

const oneOrMany = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());

/**
 * The elements that `lib/` uses. Any other element is an error, another operator of a condition too: an element that is
 * ignored could grant too much.
 */
const documentSchema = z.strictObject({
  Version: z.literal('2012-10-17'),
  Statement: z.array(
    z.strictObject({
      Effect: z.enum(['Allow', 'Deny']),
      Action: oneOrMany,
      Resource: oneOrMany,
      Condition: z.strictObject({ StringLike: z.record(z.string(), oneOrMany) }).optional(),
    }),
  ),
});

interface Rule extends Grant {
  readonly effect: 'Allow' | 'Deny';
}

/**
 * Compiles policy documents of the form that `lib/` produces.
 *
 * @param principal the owner of the documents
 * @throws Error that quotes a document with an element that is not supported here
 */
export function compilePolicy(principal: string, documents: readonly unknown[], audit?: Audit): Policy {
  const rules = documents
    .flatMap((document) => parseDocument(principal, document))
    .filter((rule) => rule.effect === 'Deny' || audit === undefined || audit.grant(rule));
  return {
    allows(action, resource, context = {}) {
      const matching = rules.filter((rule) => matches(rule, action, resource, context));
      const allowed = matching.length > 0 && matching.every(({ effect }) => effect === 'Allow');
      audit?.evaluated({ principal, action, resource }, allowed, matching);
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
  return data.Statement.flatMap(({ Effect: effect, Action, Resource, Condition }) => {
    const conditions = Condition && { conditions: Condition.StringLike };
    return Action.flatMap((action) =>
      Resource.map((resource) => ({ principal, effect, action, resource, ...conditions })),
    );
  });
}

function matches(rule: Rule, action: string, resource: string, context: PolicyContext): boolean {
  return (
    matchesPattern(rule.action.toLowerCase(), action.toLowerCase(), {}) &&
    matchesPattern(rule.resource, resource, context) &&
    Object.entries(rule.conditions ?? {}).every(([key, patterns]) => hasValueLike(context[key], patterns, context))
  );
}

/** A condition on a key that the call does not have is not met. */
const hasValueLike = (value: string | undefined, patterns: readonly string[], context: PolicyContext): boolean =>
  value !== undefined && patterns.some((pattern) => matchesPattern(pattern, value, context));

/** A wildcard in the value of a variable is an ordinary character. A variable without a value matches nothing. */
function matchesPattern(pattern: string, value: string, context: PolicyContext): boolean {
  const parts = pattern.split(/\$\{([^}]+)\}/).map((part, index) => {
    const isVariable = index % 2 === 1;
    return isVariable ? context[part] && escapeRegExp(context[part]) : wildcards(part);
  });
  return !parts.includes(undefined) && new RegExp(`^${parts.join('')}$`, 's').test(value);
}

const wildcards = (text: string) => escapeRegExp(text).replaceAll('\\*', '.*').replaceAll('\\?', '.');
