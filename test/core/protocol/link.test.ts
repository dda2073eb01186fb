import * as crypto from 'node:crypto';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { isLinkOver, linkToken, parseLinkToken, TOKEN_LENGTH } from '../../../core/protocol/link.ts';

const SECRET = 'a-secret-of-the-deployment';
const SENT = new Date('2026-03-01T23:59:00Z');
const LAST_DAY = 20_513 + 5;

test('a token has 24 characters and is parsed with the same secret', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 - 1 }), fc.integer({ min: 0, max: 255 }), (updateId, attempt) => {
      const token = linkToken({ updateId, attempt }, SENT, SECRET);
      expect(token).toHaveLength(TOKEN_LENGTH);
      expect(parseLinkToken(token, SECRET)).toEqual({ updateId, attempt, lastDay: LAST_DAY });
    }),
  );
});

test('the same attempt always has the same link, a retry has another', () => {
  const first = linkToken({ updateId: 7, attempt: 1 }, SENT, SECRET);
  expect(linkToken({ updateId: 7, attempt: 1 }, SENT, SECRET)).toBe(first);
  expect(linkToken({ updateId: 7, attempt: 2 }, SENT, SECRET)).not.toBe(first);
});

test('a token with a changed character is refused', () => {
  const token = linkToken({ updateId: 123_456, attempt: 3 }, SENT, SECRET);
  for (let i = 0; i < token.length; i++) {
    for (const other of 'Aa0_-9Zz') {
      if (other === token[i]) continue;
      expect(parseLinkToken(token.slice(0, i) + other + token.slice(i + 1), SECRET)).toBeUndefined();
    }
  }
});

test('a token made with another secret, or any other text, is refused', () => {
  expect(parseLinkToken(linkToken({ updateId: 1, attempt: 1 }, SENT, 'other'), SECRET)).toBeUndefined();
  fc.assert(fc.property(fc.string(), (text) => parseLinkToken(text, SECRET) === undefined));
});

test('the comparison takes constant time, however much of a guess is right', async () => {
  const timingSafeEqual = vi.fn(crypto.timingSafeEqual);
  vi.resetModules();
  vi.doMock('node:crypto', () => ({ ...crypto, timingSafeEqual }));
  const { parseLinkToken } = await import('../../../core/protocol/link.ts');
  vi.doUnmock('node:crypto');
  vi.resetModules();
  const token = linkToken({ updateId: 7, attempt: 1 }, SENT, SECRET);
  for (const guess of [token, token.replace(/.{4}$/, 'AAAA'), 'A'.repeat(TOKEN_LENGTH)]) {
    timingSafeEqual.mockClear();
    parseLinkToken(guess, SECRET);
    expect(timingSafeEqual).toHaveBeenCalledOnce();
    const [given, right] = timingSafeEqual.mock.lastCall ?? [];
    expect([given?.byteLength, right?.byteLength]).toEqual([10, 10]);
  }
});

test('a link is over on the sixth day after its command was sent', () => {
  const link = parseLinkToken(linkToken({ updateId: 7, attempt: 1 }, SENT, SECRET), SECRET);
  if (link === undefined) throw new Error('not parsed');
  expect(isLinkOver(link, new Date('2026-03-06T23:59:59Z'))).toBe(false);
  expect(isLinkOver(link, new Date('2026-03-07T00:00:00Z'))).toBe(true);
});
