import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ASSEMBLY } from '../../support/assembly.ts';
import { bundlesIn } from '../../support/bundles.ts';

const KB = 1_000;
const bundles = bundlesIn(ASSEMBLY);

test('every function has a bundle', () => {
  expect(bundles.map(({ name }) => name)).toContain('IngestStatus');
  expect(bundles.length).toBeGreaterThanOrEqual(8);
});

test.each(bundles)(
  'the bundle of $name is small enough to load quickly: 900 KB, 700 KB if devices wait for it, 1100 KB for operators',
  ({ name, bytes }) => {
    const isHot = name.startsWith('Ingest') || name === 'Dispatch' || name === 'Download';
    const maximum = isHot ? 700 : name === 'OperatorApi' ? 1100 : 900;
    expect(bytes).toBeLessThanOrEqual(maximum * KB);
  },
);

test.each(bundles)('the bundle of $name contains no event streams', ({ file }) => {
  expect(readFileSync(file, 'utf8')).not.toContain(':message-type');
});

test.each(bundles)('the bundle of $name contains no locale of zod except English', ({ file }) => {
  expect(readFileSync(file, 'utf8')).not.toContain('Ungültig');
});
