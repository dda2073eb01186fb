type AttributeValue = string | number | boolean | null;

/**
 * An attribute of a device as people write it: `site=rome`. Numbers and true or false are what they look like, unless a
 * number would lose digits (`007`, an ICCID); `"5"` in quotes is text in any case; an empty value is null, which removes
 * the attribute. @returns undefined for what has no name or no `=`
 */
export function parseAttribute(text: string): [name: string, value: AttributeValue] | undefined {
  const at = text.indexOf('=');
  const name = text.slice(0, at).trim();
  if (at < 1 || name === '') return undefined;
  return [name, readValue(text.slice(at + 1).trim())];
}

/** The same attribute as text; what would be read as something else is in quotes. */
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
