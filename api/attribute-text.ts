type AttributeValue = string | number | boolean | null;

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
  return [name, readValue(text.slice(at + 1).trim())];
}

/** Formats an attribute; a value that would be parsed as another type is quoted. */
export function formatAttribute(name: string, value: string | number | boolean): string {
  const plain = `${name}=${value}`;
  return parseAttribute(plain)?.[1] === value && !plain.includes('\n') ? plain : `${name}=${JSON.stringify(value)}`;
}

function readValue(text: string): AttributeValue {
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
