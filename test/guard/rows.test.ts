import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** A folder and the number of statements that it reads at least. */
const FOLDERS = [
  ['core', 70],
  ['lambdas', 1],
  ['bin', 8],
  ['local/start', 6],
] as const;

/** Ways to give a row a type that nothing checks. */
const UNCHECKED = [/\.query</, /\bas (?:readonly )?\w*(?:Row|Columns|Facts)\b/, /\bquery\([^;]*?\)\)? as /];

const uncheckedIn = (source: string): string[] => UNCHECKED.flatMap((pattern) => pattern.exec(source)?.[0] ?? []);

describe.each(FOLDERS)('%s/', (folder, atLeast) => {
  const sources = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => ({ file, source: readFileSync(join(ROOT, folder, file), 'utf8') }));

  test('reads the rows of statements through a schema: none has a type that nothing checks', () => {
    const statements = sources.flatMap(({ source }) => source.match(/\bselect\(/g) ?? []);
    expect(statements.length).toBeGreaterThanOrEqual(atLeast);
    expect(sources.flatMap(({ file, source }) => uncheckedIn(source).map((found) => `${file}: ${found}`))).toEqual([]);
  });

  test('refuses unknown columns: each schema of a row is strict', () => {
    const lenient = sources.filter(({ source }) =>
      /\bselect\(\s*\w+,\s*z\.(?:object|looseObject|unknown|any)\(/.test(source),
    );
    expect(lenient.map(({ file }) => file)).toEqual([]);
  });
});

test.each([
  'const [row] = await sql.query<ReleaseRow>(text);',
  'return rows.map((row) => row as DeviceRow);',
  'const rows = (await sql.query(text)) as Counted[];',
])('a cast is found: %s', (source) => {
  expect(uncheckedIn(source)).not.toEqual([]);
});
