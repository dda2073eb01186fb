import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];
const read = (page: string) => readFileSync(join(ROOT, page), 'utf8');
const withoutCode = (text: string) => text.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/`[^`\n]*`/g, '');

/** As GitHub makes anchors of headings. */
const anchors = (page: string) =>
  [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );

test.each(pages)('%s links to what is there', (page) => {
  const links = [...withoutCode(read(page)).matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link = '']) => link);
  const broken = links.filter((link) => {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path);
    if (!existsSync(target)) return true;
    return anchor !== undefined && !anchors(relative(ROOT, target)).includes(anchor);
  });
  expect(broken).toEqual([]);
});

test('docs/limits.md states the numbers that the code has', () => {
  const rows = [...read('docs/limits.md').matchAll(/^\|(.*)\| `([A-Z_]+)` in `([^`]+)` +\|/gm)];
  expect(rows.map(([, , name]) => name)).toEqual(['ASSIGNMENTS_PER_TICK', 'DISPATCHES_PER_TICK', 'DOWNLOAD_THROTTLE']);
  for (const [, limit = '', name, file = ''] of rows) {
    const [, value = ''] = new RegExp(`const ${name} = (.*);`).exec(read(file)) ?? [];
    const numbers = [...value.matchAll(/\d[\d_]*/g)].map(([digits]) => Number(digits.replaceAll('_', '')));
    expect(numbers.length, `${name} in ${file}`).toBeGreaterThan(0);
    for (const number of numbers) expect(limit).toContain(number.toLocaleString('en'));
  }
});
