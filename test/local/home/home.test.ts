import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Home } from '../../../local/home/index.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'paku-home-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string) => statSync(path).mode & 0o7777;

test.each([[0o755], [0o777], [0o750], [0o700]])(
  'an existing folder with the permissions %i is closed to other users, because it holds keys and the database',
  (mode) => {
    chmodSync(folder, mode);
    new Home(folder).close();
    expect(modeOf(folder)).toBe(0o700);
  },
);

test('a folder that is made is closed to other users', () => {
  const inner = join(folder, 'inner');
  new Home(inner).close();
  expect(modeOf(inner)).toBe(0o700);
});

test('a folder that all users share is refused, and keeps its permissions', () => {
  chmodSync(folder, 0o1777);
  expect(() => new Home(folder)).toThrow('is shared by all users');
  expect(modeOf(folder)).toBe(0o1777);
});
