import { expect, test } from 'vitest';
import { isCanonicalPath } from '../../../core/util/index.ts';

test.each(['/v1/info', '/v1/devices/ESP32-20E955A0/revoke', '/v1/devices/a:b_c', '/v1/releases/esp32-s3/1.0.0+7~x'])(
  'the path %s has one spelling',
  (path) => {
    expect(isCanonicalPath(path)).toBe(true);
  },
);

test.each([
  '',
  'v1/info',
  '/',
  '/v1/',
  '//v1',
  '/v1//info',
  '/v1/./info',
  '/v1/../info',
  '/v1/%72evoke',
  '/v1/a b',
  '/v1/a?b',
  '/v1/a#b',
  '/v1/a;b',
  '/v1/a\\b',
  '/v1/a\u0000',
  '/v1/wave #2',
  `/v1/${'a'.repeat(65)}`,
])('the path %j may have another spelling', (path) => {
  expect(isCanonicalPath(path)).toBe(false);
});
