import { readAttribute } from '../../../api/attribute-text.ts';
import type { DeviceDetail } from '../../../api/devices.ts';

type Metadata = DeviceDetail['metadata'];

/** The attributes of a device as a form has them: name=value, one a line. */
export const attributeLines = (metadata: Metadata): string =>
  Object.entries(metadata)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

/**
 * What to set so that a device has the attributes of these lines and no others: null takes one away.
 * @returns undefined where a line is no attribute
 */
export function attributeChanges(lines: string, before: Metadata): Record<string, Metadata[string] | null> | undefined {
  const wanted = lines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(readAttribute);
  if (!wanted.every((pair) => pair !== undefined)) return undefined;
  const removed = Object.keys(before).map((name) => [name, null] as const);
  return { ...Object.fromEntries(removed), ...Object.fromEntries(wanted) };
}
