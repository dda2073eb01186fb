import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(ROOT + file, 'utf8');
const page = read('docs/security.md');

/** A file of tests, and the names of tests in it that follow. */
const REFERENCE = /`(test\/[^`]+\.test\.ts)`((?:,? "[^"]+")*)/g;
const references = [...page.matchAll(REFERENCE)].map(([, file = '', names = '']) => {
  return { file, names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name) };
});

test('each test that docs/security.md names is there', () => {
  expect(references.length).toBeGreaterThan(25);
  const missing = references.flatMap(({ file, names }) => {
    if (!existsSync(ROOT + file)) return [file];
    const source = read(file);
    return names.filter((name) => !source.includes(name)).map((name) => `${file}: ${name}`);
  });
  expect(missing).toEqual([]);
});

test('each threat of docs/security.md has an answer and a test', () => {
  const boundaries = page.slice(page.indexOf('## Boundaries'), page.indexOf('## What is not defended'));
  const rows = [...boundaries.matchAll(/^\| (?!threat|---)(.*) \|$/gm)].map(([, row = '']) => row.split(' | '));
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.filter((cells) => cells.length !== 3 || !cells[2]?.includes('.test.ts`'))).toEqual([]);
});
