import { describe, expect, test } from 'vitest';
import { readPages } from '../../../cli/session/paging.ts';

describe('readPages', () => {
  const all = Array.from({ length: 450 }, (_, i) => i);
  const calls: object[] = [];
  const read = async ({ limit, cursor }: { limit: number; cursor?: string }) => {
    calls.push({ limit, cursor });
    const from = Number(cursor ?? 0);
    const end = from + limit;
    return { items: all.slice(from, end), next_cursor: end < all.length ? String(end) : null };
  };

  test('reads pages up to the limit and returns the cursor of what follows', async () => {
    expect(await readPages({ limit: 250 }, read)).toEqual({ items: all.slice(0, 250), next_cursor: '250' });
    expect(calls.splice(0)).toEqual([{ limit: 200 }, { limit: 50, cursor: '200' }]);
  });

  test('continues from a cursor, and returns no cursor at the end of the list', async () => {
    expect(await readPages({ limit: 1000, cursor: '440' }, read)).toEqual({ items: all.slice(440), next_cursor: null });
  });
});
