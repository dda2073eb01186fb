import { formatAttribute, parseAttribute } from '../../../api/attribute-text.ts';
import type { DeviceDetail } from '../../../api/devices.ts';

type Metadata = DeviceDetail['metadata'];
type Changes = Record<string, Metadata[string] | null>;

/** The attributes of a device as a form has them: name=value, one a line. */
export const attributeLines = (metadata: Metadata): string =>
  Object.entries(metadata)
    .map(([name, value]) => formatAttribute(name, value))
    .join('\n');

/**
 * What to set so that the attributes of the lines before become those of the lines now: only what differs, so that what
 * others set meanwhile stays; null takes one away. @returns undefined where a line is no attribute
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
