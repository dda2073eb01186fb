import { expect, test } from 'vitest';
import { capital } from '../../../../console/src/text/format.ts';

test('a sentence begins with a capital, unless it begins with a name', () => {
  expect(['it runs 1.2.0', 'esp32-s3 2.1.0 is registered', 'a merged image'].map(capital)).toEqual([
    'It runs 1.2.0',
    'esp32-s3 2.1.0 is registered',
    'A merged image',
  ]);
});
