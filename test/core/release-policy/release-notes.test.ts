import { expect, test } from 'vitest';
import { parseReleaseNotes } from '../../../core/release-policy/index.ts';

test.each(['1.2.0', 'v1.2.0', '1.2', '8.1.0.3', '2026.01.05', '1.0.0-rc.1'])(
  'accepts the minimum version %s, which has a place in the order of versions',
  (minVersion) => {
    expect(parseReleaseNotes({ 'min-version': minVersion })).toMatchObject({ minVersion });
  },
);

test.each(['latest', 'x.y', '-'])('refuses the minimum version %s, which would exclude every device', (minVersion) => {
  expect(parseReleaseNotes({ 'min-version': minVersion })).toMatchObject({
    verdict: 'BAD_METADATA',
    message: `min-version is "${minVersion}", expected a version like 1.2.0`,
  });
});
