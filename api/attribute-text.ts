type AttributeValue = string | number | boolean | null;

/**
 * An attribute of a device as people write it: `site=rome`. Numbers and true or false are what they look like, unless a number would lose digits (`007`, an ICCID); an empty
 * value is null, which removes the attribute. @returns undefined for what has no name or no `=`
 */
export function readAttribute(text: string): [name: string, value: AttributeValue] | undefined {
  const at = text.indexOf('=');
  const name = text.slice(0, at).trim();
  if (at < 1 || name === '') return undefined;
  return [name, readValue(text.slice(at + 1).trim())];
}

function readValue(text: string): AttributeValue {
  if (text === '') return null;
  if (text === 'true' || text === 'false') return text === 'true';
  return String(Number(text)) === text && Number.isFinite(Number(text)) ? Number(text) : text;
}
