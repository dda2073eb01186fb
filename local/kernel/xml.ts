/** The content of an element: text, nested elements, or several elements with one name. */
export type XmlContent = string | number | boolean | XmlFields | readonly XmlContent[];
export interface XmlFields {
  readonly [name: string]: XmlContent;
}

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A document with one root element in S3's format. Error documents have no namespace. */
export function xmlElement(name: string, content: XmlContent): string {
  const attribute = name === 'Error' ? '' : ` xmlns="${NAMESPACE}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attribute}>${inner(content)}</${name}>`;
}

function inner(content: XmlContent): string {
  if (typeof content !== 'object') return escapeXml(String(content));
  return Object.entries(content)
    .flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one: XmlContent) => `<${name}>${inner(one)}</${name}>`),
    )
    .join('');
}

/** Replaces characters that XML does not allow by references, as S3 does in listings. */
function escapeXml(text: string): string {
  return text.replace(/[&<>"\r\p{Cc}]/gu, (c) => (c === '\n' || c === '\t' ? c : `&#${c.charCodeAt(0)};`));
}
