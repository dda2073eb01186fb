import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The deployed bundle of a function. */
export interface Bundle {
  /** Logical id of the function without the hash, such as `IngestStatus`. */
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
}

interface Template {
  readonly Resources: Record<string, { Type: string; Metadata?: Record<string, string> }>;
}

/** The bundles of all functions of a cloud assembly, sorted by name. */
export function bundlesIn(assembly: string): Bundle[] {
  return readdirSync(assembly)
    .filter((name) => name.endsWith('.template.json'))
    .flatMap((name) => Object.entries((JSON.parse(readFileSync(join(assembly, name), 'utf8')) as Template).Resources))
    .filter(([, { Type: type }]) => type === 'AWS::Lambda::Function')
    .map(([logicalId, { Metadata: metadata = {} }]) => {
      const file = join(assembly, metadata['aws:asset:path'] ?? '', 'index.mjs');
      return { name: logicalId.slice(0, -8), file, bytes: statSync(file).size };
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}
