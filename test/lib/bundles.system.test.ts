import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ASSEMBLY } from '../support/assembly.ts';
import { bundlesIn } from '../support/bundles.ts';

const KB = 1_000;
const bundles = bundlesIn(ASSEMBLY);

test('every function has its bundle', () => {
  expect(bundles.map(({ name }) => name)).toContain('IngestStatus');
  expect(bundles.length).toBeGreaterThanOrEqual(8);
});

test.each(bundles)(
  '$name loads quickly: it has at most 900 KB, where many devices wait for it 700, where only operators do 1100',
  ({ name, bytes }) => {
    const isHot = name.startsWith('Ingest') || name === 'Dispatch' || name === 'Download';
    const most = isHot ? 700 : name === 'OperatorApi' ? 1100 : 900;
    expect(bytes).toBeLessThanOrEqual(most * KB);
  },
);

test.each(bundles)('$name carries no locale of zod but English', ({ file }) => {
  expect(readFileSync(file, 'utf8')).not.toContain('Ungültig');
});
