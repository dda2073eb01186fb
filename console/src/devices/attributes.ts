import { formatAttribute, parseAttribute } from '../../../api/attribute-text.ts';
import type { DeviceDetail } from '../../../api/devices.ts';

type Metadata = DeviceDetail['metadata'];
type Changes = Record<string, Metadata[string] | null>;

/** The attributes of a device as the text of a form: name=value, one per line. */
export const attributeLines = (metadata: Metadata): string =>
  Object.entries(metadata)
    .map(([name, value]) => formatAttribute(name, value))
    .join('\n');

/**
 * The changes that turn the attributes of the lines before into those of the lines now. Only the differences, so that
 * attributes that others set meanwhile stay; null removes an attribute.
 * @returns undefined when a line is not an attribute
 */
export function attributeChanges(lines: string, before: string): Changes | undefined {
  const [now, then] = [readLines(lines), readLines(before) ?? new Map()];
  if (now === undefined) return undefined;
  const removed = [...then.keys()].filter((name) => !now.has(name)).map((name) => [name, null] as const);
  const set = [...now].filter(([name, value]) => then.get(name) !== value);
  return Object.fromEntries([...removed, ...set]);
}

function readLines(lines: string): Map<string, Changes[string]> | undefined {
  const read = lines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseAttribute);
  return read.every((pair) => pair !== undefined) ? new Map(read) : undefined;
}
