import { describe, expect, test } from 'vitest';
import { retryWhileResuming } from '../../../cli/session/retry.ts';

const PROBLEM = { 'content-type': 'application/problem+json' };

describe('while the database resumes', () => {
  const answers = (...responses: Response[]) => {
    let calls = 0;
    return { fetch: async () => responses[Math.min(calls++, responses.length - 1)] as Response, calls: () => calls };
  };
  const init = { method: 'GET', headers: {} };
  const resuming = () => new Response('{}', { status: 503, headers: PROBLEM });

  test('a call is repeated until the service answers it', async () => {
    const { fetch, calls } = answers(resuming(), resuming(), new Response('ok'));
    const waits: number[] = [];
    const response = await retryWhileResuming(fetch, async (ms) => waits.push(ms))('http://api', init);
    expect([await response.text(), calls(), waits]).toEqual(['ok', 3, [3000, 3000]]);
  });

  test('the last answer is returned after 20 tries', async () => {
    const { fetch, calls } = answers(resuming());
    const response = await retryWhileResuming(fetch, async () => {})('http://api', init);
    expect([response.status, calls()]).toEqual([503, 20]);
  });

  test('a 503 of the gateway is not repeated, because the function may have run', async () => {
    const { fetch, calls } = answers(new Response('{"message":"Service Unavailable"}', { status: 503 }));
    expect((await retryWhileResuming(fetch, async () => {})('http://api', init)).status).toBe(503);
    expect(calls()).toBe(1);
  });
});
