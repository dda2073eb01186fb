type Value = string | number | boolean;
type AttributeValue = Value | null;

/**
 * Parses an attribute of a device as people write it: `site=rome`. Numbers, `true` and `false` become values of their
 * type, unless a number would lose digits (`007`, an ICCID). Text in quotes, such as `"5"`, stays text. An empty value
 * is null, which removes the attribute.
 * @returns undefined if there is no name or no `=`
 */
export function parseAttribute(text: string): [name: string, value: AttributeValue] | undefined {
  const at = text.indexOf('=');
  const name = text.slice(0, at).trim();
  if (at < 1 || name === '') return undefined;
  return [name, parseValue(text.slice(at + 1).trim())];
}

/** Formats an attribute; a value that would be parsed as another type is quoted. */
export function formatAttribute(name: string, value: Value): string {
  const plain = `${name}=${value}`;
  return parseAttribute(plain)?.[1] === value && !plain.includes('\n') ? plain : `${name}=${JSON.stringify(value)}`;
}

/**
 * Formats a condition of a target filter on an attribute: `revision=B or C` for a list, of which one value is enough.
 * @param most maximum values to list; the others are only counted
 */
export function formatAttributeCondition(
  name: string,
  wanted: Value | readonly Value[],
  most = Number.POSITIVE_INFINITY,
): string {
  const values = Array.isArray(wanted) ? (wanted as readonly Value[]) : [wanted as Value];
  const texts = values.slice(0, most).map((value) => formatAttribute(name, value).slice(name.length + 1));
  const more = values.length - texts.length;
  return `${name}=${[...texts, ...(more > 0 ? [`${more} more`] : [])].join(' or ')}`;
}

/**
 * Parses conditions on attributes as people write them: `site=rome`. Several values of one attribute are a list, of which
 * one is enough.
 * @returns the first text that is not a condition, or the conditions
 */
export function parseAttributeConditions(
  texts: readonly string[],
): { readonly invalid: string } | { readonly attributes: Record<string, Value | Value[]> } {
  const attributes = new Map<string, Value | Value[]>();
  for (const text of texts) {
    const [name, value] = parseAttribute(text) ?? [];
    if (name === undefined || value === undefined || value === null) return { invalid: text };
    attributes.set(name, addValue(attributes.get(name), value));
  }
  return { attributes: Object.fromEntries(attributes) };
}

/** The value, or the list of all values of a condition. */
export function addValue(before: Value | Value[] | undefined, value: Value): Value | Value[] {
  if (before === undefined) return value;
  const values = [before].flat();
  if (values.includes(value)) return before;
  return [...values, value];
}

function parseValue(text: string): AttributeValue {
  if (text === '') return null;
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^".*"$/.test(text)) return unquote(text);
  return String(Number(text)) === text && Number.isFinite(Number(text)) ? Number(text) : text;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
