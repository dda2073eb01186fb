import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../api/client.ts';
import { describeFailure } from '../../../cli/session/failure.ts';
import { readPages } from '../../../cli/session/paging.ts';
import { patient } from '../../../cli/session/session.ts';
import { wantsColor } from '../../../cli/text/style.ts';

const PROBLEM = { 'content-type': 'application/problem+json' };

describe('while the database resumes', () => {
  const answers = (...responses: Response[]) => {
    let calls = 0;
    return { fetch: async () => responses[Math.min(calls++, responses.length - 1)] as Response, calls: () => calls };
  };
  const init = { method: 'GET', headers: {} };
  const resuming = () => new Response('{}', { status: 503, headers: PROBLEM });

  test('a call is made again until it is answered', async () => {
    const { fetch, calls } = answers(resuming(), resuming(), new Response('ok'));
    const waits: number[] = [];
    const response = await patient(fetch, async (ms) => waits.push(ms))('http://api', init);
    expect([await response.text(), calls(), waits]).toEqual(['ok', 3, [3000, 3000]]);
  });

  test('patience ends after a minute', async () => {
    const { fetch, calls } = answers(resuming());
    const response = await patient(fetch, async () => {})('http://api', init);
    expect([response.status, calls()]).toEqual([503, 20]);
  });

  test('a 503 of the gateway is not repeated: what was called may have run', async () => {
    const { fetch, calls } = answers(new Response('{"message":"Service Unavailable"}', { status: 503 }));
    expect((await patient(fetch, async () => {})('http://api', init)).status).toBe(503);
    expect(calls()).toBe(1);
  });
});

describe('a refusal', () => {
  const problem = { type: 'about:blank', title: 'Bad Request', status: 400, detail: '2 fields are not valid' };

  test('names each field on a line of its own', () => {
    const errors = [
      { field: 'stages.0.percentage', message: 'too big' },
      { field: 'name', message: 'too long' },
    ];
    expect(describeFailure(new ApiError({ ...problem, errors }))).toEqual([
      '2 fields are not valid',
      'stages.0.percentage: too big',
      'name: too long',
    ]);
  });

  test('says nothing twice', () => {
    const errors = [{ field: 'name', message: 'too long' }];
    expect(describeFailure(new ApiError({ ...problem, detail: 'name: too long', errors }))).toEqual(['name: too long']);
  });

  test('by IAM says where to look', () => {
    expect(describeFailure(new ApiError({ ...problem, status: 403, detail: 'Forbidden' }))).toEqual([
      'refused: Forbidden',
      'paku-ota doctor says who you are and whether your clock is right',
    ]);
  });

  test('cannot command the terminal', () => {
    expect(describeFailure(new ApiError({ ...problem, detail: 'a\x1b[2Jb' }))).toEqual(['a [2Jb']);
  });
});

describe('a list', () => {
  const all = Array.from({ length: 450 }, (_, i) => i);
  const calls: object[] = [];
  const read = async ({ limit, cursor }: { limit: number; cursor?: string }) => {
    calls.push({ limit, cursor });
    const from = Number(cursor ?? 0);
    const end = from + limit;
    return { items: all.slice(from, end), next_cursor: end < all.length ? String(end) : null };
  };

  test('is read in pages up to what is wanted, and says where it goes on', async () => {
    expect(await readPages({ limit: 250 }, read)).toEqual({ items: all.slice(0, 250), next_cursor: '250' });
    expect(calls.splice(0)).toEqual([{ limit: 200 }, { limit: 50, cursor: '200' }]);
  });

  test('goes on at a cursor, and ends with the last', async () => {
    expect(await readPages({ limit: 1000, cursor: '440' }, read)).toEqual({ items: all.slice(440), next_cursor: null });
  });
});

test.each([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, true, false],
  [{ TERM: 'dumb' }, true, false],
  [{ CI: 'true' }, false, false],
])('%j on a terminal %s: colours %s', (env, isTTY, colors) => {
  expect(wantsColor(env, isTTY)).toBe(colors);
});
