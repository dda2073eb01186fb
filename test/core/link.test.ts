import fc from 'fast-check';
import { expect, test } from 'vitest';
import { linkToken, readLinkToken, TOKEN_LENGTH } from '../../core/link.ts';

const SECRET = 'a-secret-of-the-deployment';

test('a token is 23 characters, whatever it stands for, and is read back with the same secret', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), fc.integer({ min: 0, max: 255 }), (updateId, attempt) => {
      const token = linkToken({ updateId, attempt }, SECRET);
      expect(token).toHaveLength(TOKEN_LENGTH);
      expect(readLinkToken(token, SECRET)).toEqual({ updateId, attempt });
    }),
  );
});

test('the same attempt always has the same link, a retry has another', () => {
  const first = linkToken({ updateId: 7, attempt: 1 }, SECRET);
  expect(linkToken({ updateId: 7, attempt: 1 }, SECRET)).toBe(first);
  expect(linkToken({ updateId: 7, attempt: 2 }, SECRET)).not.toBe(first);
});

test('a token with any character changed is refused', () => {
  const token = linkToken({ updateId: 123_456, attempt: 3 }, SECRET);
  for (let i = 0; i < token.length; i++) {
    for (const other of 'Aa0_-9Zz') {
      if (other === token[i]) continue;
      expect(readLinkToken(token.slice(0, i) + other + token.slice(i + 1), SECRET)).toBeUndefined();
    }
  }
});

test('a token made with another secret, or any other text, is refused', () => {
  expect(readLinkToken(linkToken({ updateId: 1, attempt: 1 }, 'other'), SECRET)).toBeUndefined();
  fc.assert(fc.property(fc.string(), (text) => readLinkToken(text, SECRET) === undefined));
});
