import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Which folders each may import from, beside its own: imports go one way. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: ['schema'],
  schema: [],
  api: ['core'],
  lambdas: ['api', 'core', 'schema'],
  lib: ['core'],
  bin: ['lambdas', 'lib'],
  fleet: [],
  console: ['api'],
  local: ['api', 'console', 'core', 'fleet'],
  cli: ['api', 'console', 'core', 'local'],
};

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => join(ROOT, folder, file));
}

function importsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, path = '']) =>
    relative(ROOT, resolve(dirname(file), path)),
  );
}

test.each(Object.entries(MAY_IMPORT))('%s imports from itself and from [%s] only', (folder, allowed) => {
  const files = sourcesIn(folder);
  expect(files.length).toBeGreaterThan(0);
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((path) => ![folder, ...allowed].includes(path.split('/')[0] ?? ''))
      .map((path) => `${relative(ROOT, file)} imports ${path}`),
  );
  expect(wrong).toEqual([]);
});

test('the console takes of the API its types, and what carries no schema of it', () => {
  const wrong = sourcesIn('console').filter((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^import (type )?[^;]*? from '([./]+api\/[^']+)'/gms)].some(
      ([, isType, path]) => isType === undefined && !/\/api\/(client|attribute-text)\.ts$/.test(path ?? ''),
    ),
  );
  expect(wrong).toEqual([]);
});

test('core knows neither the CDK nor the events of AWS', () => {
  const wrong = sourcesIn('core').filter((file) =>
    /from '(aws-cdk-lib|constructs|aws-lambda)/.test(readFileSync(file, 'utf8')),
  );
  expect(wrong).toEqual([]);
});

test('the local runtime boots bundles: of what functions are made of it takes the Data API client alone', () => {
  const taken = new Set(
    sourcesIn('local')
      .flatMap(importsOf)
      .filter((path) => path.startsWith('core/')),
  );
  expect([...taken].sort()).toEqual(['core/database.ts']);
});

test('bundles take zod as a namespace: as a named import the whole of it would come along', () => {
  const wrong = ['core', 'lambdas']
    .flatMap(sourcesIn)
    .filter((file) => /import \{[^}]*\bz\b[^}]*\} from 'zod'/.test(readFileSync(file, 'utf8')));
  expect(wrong).toEqual([]);
});
