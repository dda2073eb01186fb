import { z } from 'zod';

/** Values that conditions and `${…}` variables read, such as `aws:SourceArn`. Keys are compared without case. */
export type PolicyContext = Readonly<Record<string, string>>;

/** Statements of one principal, ready to be asked. */
export interface Policy {
  /** As IAM evaluates: an explicit Deny wins, no match is a refusal. */
  allows(action: string, resource: string, context?: PolicyContext): boolean;
}

const oneOrMany = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const conditionValue = z.union([z.string(), z.boolean(), z.number()]).transform(String);
const conditionValues = z.union([conditionValue, z.array(conditionValue)]).transform((value) => [value].flat());
const comparison = z.record(z.string(), conditionValues);

const statementSchema = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMany,
  Resource: oneOrMany,
  Condition: z
    .strictObject({
      Bool: comparison,
      StringEquals: comparison,
      StringLike: comparison,
      ArnEquals: comparison,
      ArnLike: comparison,
      NumericLessThan: comparison,
      NumericLessThanEquals: comparison,
    })
    .partial()
    .default({}),
});

const documentSchema = z.strictObject({
  Version: z.literal('2012-10-17'),
  Id: z.string().optional(),
  Statement: z.union([z.unknown().array(), z.record(z.string(), z.unknown()).transform((one) => [one])]),
});

type Statement = z.infer<typeof statementSchema>;
type Operator = keyof Statement['Condition'];

const OPERATORS: Record<Operator, (actual: string, expected: string) => boolean> = {
  Bool: (actual, expected) => actual.toLowerCase() === expected.toLowerCase(),
  StringEquals: (actual, expected) => actual === expected,
  StringLike: (actual, expected) => wildcard(expected).test(actual),
  ArnEquals: matchesArn,
  ArnLike: matchesArn,
  NumericLessThan: (actual, expected) => Number(actual) < Number(expected),
  NumericLessThanEquals: (actual, expected) => Number(actual) <= Number(expected),
};

/**
 * Compiles policy documents of the form that `lib/` emits.
 *
 * @param name whose documents they are, for the error message
 * @throws Error that names the statement, for any element or condition operator that is not evaluated here: what is
 *   not understood must not be granted by accident.
 */
export function compilePolicy(name: string, documents: readonly unknown[]): Policy {
  const statements = documents.flatMap((document, index) => parseDocument(`${name}, policy ${index}`, document));
  return {
    allows(action, resource, context = {}) {
      const values = new Map(Object.entries(context).map(([key, value]) => [key.toLowerCase(), value]));
      const effects = statements
        .filter((statement) => matches(statement, action, resource, values))
        .map(({ Effect }) => Effect);
      return effects.includes('Allow') && !effects.includes('Deny');
    },
  };
}

function parseDocument(name: string, document: unknown): Statement[] {
  return parse(documentSchema, document, name).Statement.map((statement, index) =>
    parse(statementSchema, statement, `${name}, statement ${index} ${JSON.stringify(statement)}`),
  );
}

function parse<T extends z.ZodType>(schema: T, value: unknown, where: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Error(
    `${where}: cannot be evaluated. ${z.prettifyError(result.error)}. Use the elements and operators of local/policy.ts.`,
  );
}

function matches(statement: Statement, action: string, resource: string, values: ReadonlyMap<string, string>): boolean {
  return (
    statement.Action.some((pattern) => wildcard(pattern.toLowerCase()).test(action.toLowerCase())) &&
    statement.Resource.some((pattern) => matchesVariable(pattern, resource, values)) &&
    Object.entries(statement.Condition).every(([operator, tests]) =>
      Object.entries(tests ?? {}).every(([key, expected]) =>
        meets(OPERATORS[operator as Operator], values.get(key.toLowerCase()), expected, values),
      ),
    )
  );
}

/** A key that is absent from the context fails its condition, as with every operator without `IfExists`. */
function meets(
  operator: (actual: string, expected: string) => boolean,
  actual: string | undefined,
  expected: readonly string[],
  values: ReadonlyMap<string, string>,
): boolean {
  if (actual === undefined) return false;
  return expected.some((pattern) => {
    const filled = fill(pattern, values, (value) => value);
    return filled !== undefined && operator(actual, filled);
  });
}

function matchesVariable(pattern: string, resource: string, values: ReadonlyMap<string, string>): boolean {
  // A wildcard that comes out of a variable is an ordinary character, so variables are matched after the pattern.
  const literals: string[] = [];
  const filled = fill(pattern, values, (value) => `\u0000${literals.push(value) - 1}\u0000`);
  return filled !== undefined && wildcard(filled, literals).test(resource);
}

/** Puts values for `${key}`; undefined when one is unknown, which makes the statement not match. */
function fill(
  pattern: string,
  values: ReadonlyMap<string, string>,
  put: (value: string) => string,
): string | undefined {
  let complete = true;
  const filled = pattern.replace(/\$\{([^}]+)\}/g, (_, key: string) => {
    const value = values.get(key.toLowerCase());
    if (value === undefined) complete = false;
    return put(value ?? '');
  });
  return complete ? filled : undefined;
}

function wildcard(pattern: string, literals: readonly string[] = []): RegExp {
  const source = escapePattern(pattern)
    .replaceAll('\\*', '.*')
    .replaceAll('\\?', '.')
    .replace(/\0(\d+)\0/g, (_, index: string) => escapePattern(literals[Number(index)] ?? ''));
  return new RegExp(`^${source}$`, 's');
}

const escapePattern = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** Each of the six parts is matched by itself: a wildcard in one does not reach over a colon. */
function matchesArn(actual: string, pattern: string): boolean {
  const parts = arnParts(actual);
  return arnParts(pattern).every((part, index) => wildcard(part).test(parts[index] ?? ''));
}

function arnParts(arn: string): string[] {
  const parts = arn.split(':');
  return [...parts.slice(0, 5), parts.slice(5).join(':')];
}
