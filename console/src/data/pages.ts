import { type InfiniteData, keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import type { Page } from '../../../api/client.ts';

type ReadPage<T> = (query: { readonly cursor: string | undefined; readonly limit: number }) => Promise<Page<T>>;

const ITEMS_PER_PAGE = 50;

/** A list that is loaded by pages. The previous items stay visible while the filters change. */
export function usePages<T>(key: readonly unknown[], read: ReadPage<T>) {
  return useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam: cursor }) => read({ cursor, limit: ITEMS_PER_PAGE }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ next_cursor: cursor }) => cursor ?? undefined,
    placeholderData: keepPreviousData,
  });
}

export const itemsOf = <T>({ pages }: InfiniteData<Page<T>>): T[] => pages.flatMap(({ items }) => items);
