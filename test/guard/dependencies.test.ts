import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  bin: Record<string, string>;
  dependencies: Record<string, string>;
};

/** Types are gone when it runs; what is imported as a value, or while it runs, must be there. */
const IMPORTS = /^(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm;

/** Every package that a file needs, through all files of ours that it needs. */
function packagesOf(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file)) return [];
  seen.add(file);
  const names = [...readFileSync(file, 'utf8').matchAll(IMPORTS)].map(([, stated, lazy]) => stated ?? lazy ?? '');
  return names.flatMap((name) => {
    if (name.startsWith('.')) return packagesOf(resolve(dirname(file), name), seen);
    return isBuiltin(name)
      ? []
      : [
          name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/'),
        ];
  });
}

test('an installed paku-ota finds every package that it imports', () => {
  const wanted = new Set(packagesOf(join(ROOT, manifest.bin['paku-ota'] ?? '')));
  expect(wanted).toContain('commander');
  expect(wanted).toContain('@aws-sdk/client-iot');
  expect([...wanted].filter((name) => !(name in manifest.dependencies))).toEqual([]);
});
