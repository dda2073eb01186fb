import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { dateTime } from '../format.ts';
import { Ago, MoreButton } from '../parts/bits.tsx';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Panel } from '../parts/page.tsx';
import { linesOf, type TimelineLine } from './timeline-phrases.ts';

const ENTRIES_A_PAGE = 100;

export function Timeline({ id }: { readonly id: string }) {
  const timeline = useInfiniteQuery({
    queryKey: ['timeline', id],
    queryFn: ({ pageParam: before }) => api.deviceTimeline(id, { before, limit: ENTRIES_A_PAGE }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ items }) => (items.length < ENTRIES_A_PAGE ? undefined : items.at(-1)?.at),
  });
  return (
    <Panel title="Timeline">
      <Loaded of={timeline} lines={6}>
        {({ pages }) => {
          const lines = linesOf(pages.flatMap(({ items }) => items));
          if (lines.length === 0) {
            return <Empty title="Nothing yet">It begins with the first update that this device is owed.</Empty>;
          }
          return (
            <ol className="timeline">
              {lines.map((line) => (
                <Line key={line.key} line={line} />
              ))}
            </ol>
          );
        }}
      </Loaded>
      <MoreButton query={timeline} />
    </Panel>
  );
}

function Line({ line: { at, tone, text, note, rollout, attempt } }: { readonly line: TimelineLine }) {
  return (
    <li className={tone}>
      <p>
        <strong>{text}</strong>
        {attempt !== null && attempt > 1 && ` (attempt ${attempt})`}
        {rollout !== null && (
          <>
            {' by '}
            <Link href={`/rollouts/${rollout}`}>rollout {rollout}</Link>
          </>
        )}
        {note && <span className="muted"> {note}</span>}
      </p>
      <p className="when">
        {dateTime(at)}, <Ago at={at} />
      </p>
    </li>
  );
}
