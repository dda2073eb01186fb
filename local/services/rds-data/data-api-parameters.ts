import { z } from 'zod';
import { AwsError } from '../../kernel/index.ts';

const fieldSchema = z.strictObject({
  isNull: z.boolean().optional(),
  stringValue: z.string().optional(),
  longValue: z.int().optional(),
  doubleValue: z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])]).optional(),
  booleanValue: z.boolean().optional(),
  /** In base64. */
  blobValue: z.string().optional(),
});

/** Type hints and arrays are not supported and refused; SQL can cast instead. */
export const parameterSchema = z.strictObject({ name: z.string(), value: fieldSchema });

export type Parameter = z.infer<typeof parameterSchema>;

/** A statement in PostgreSQL's form: placeholders `$1`, … and values as text input. */
export interface BoundStatement {
  readonly text: string;
  readonly values: readonly string[];
}

export const badRequest = (message: string) => new AwsError('BadRequestException', 400, message);

/**
 * Matches strings, quoted names, dollar quotes and comments, which contain no parameters; then casts, positions and
 * names.
 */
const TOKEN =
  /\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$(?:[A-Za-z_]\w*)?\$)[\s\S]*?\1|--[^\n]*|\/\*[\s\S]*?\*\/|::|(\$\d+|\?)|:([A-Za-z_]\w*)/g;

/**
 * Rewrites each `:name` to `$n` with a cast to the type of its value. A null becomes NULL without a type.
 *
 * @throws AwsError for a name without a parameter
 */
export function bindParameters(sql: string, parameters: readonly Parameter[]): BoundStatement {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const bound = new Map<string, string>();
  const values: string[] = [];
  const bind = (name: string): string => {
    const parameter = byName.get(name);
    if (!parameter) throw badRequest(`Cannot find parameter: ${name}`);
    const typed = typedValue(parameter);
    return typed ? `$${values.push(typed.value)}::${typed.type}` : 'NULL';
  };
  const text = sql.replace(TOKEN, (token, _quote?: string, position?: string, name?: string) => {
    // Whether the Data API leaves the operator `?` of jsonb alone is not documented: drivers take it for a parameter.
    if (position !== undefined) throw badRequest(`The statement has ${position}; the Data API takes :name only.`);
    if (name === undefined) return token;
    const rewritten = bound.get(name) ?? bind(name);
    bound.set(name, rewritten);
    return rewritten;
  });
  return { text, values };
}

function typedValue({ name, value }: Parameter): { type: string; value: string } | undefined {
  if (value.isNull) return undefined;
  if (value.stringValue !== undefined) return { type: 'text', value: value.stringValue };
  if (value.longValue !== undefined) return { type: 'bigint', value: String(value.longValue) };
  if (value.doubleValue !== undefined) return { type: 'double precision', value: String(value.doubleValue) };
  if (value.booleanValue !== undefined) return { type: 'boolean', value: String(value.booleanValue) };
  if (value.blobValue === undefined) throw badRequest(`Parameter ${name} has no value.`);
  return { type: 'bytea', value: `\\x${Buffer.from(value.blobValue, 'base64').toString('hex')}` };
}
