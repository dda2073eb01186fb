import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import type { DeviceDetail } from '../../../api/devices.ts';
import { api } from '../data/client.ts';
import { dateTime } from '../text/format.ts';
import { Ago, MoreButton } from '../ui/components.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Panel } from '../ui/page.tsx';
import { useRolloutsOf } from './rollouts-of.ts';
import { linesOf, type TimelineLine } from './timeline-phrases.ts';

const ENTRIES_A_PAGE = 100;

export function Timeline({ device }: { readonly device: DeviceDetail }) {
  const { device_id: id, device_model: model } = device;
  const rollouts = useRolloutsOf(model);
  const names = new Map(rollouts.data?.items.map(({ rollout_id: rollout, name }) => [rollout, name]));
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
            return <Empty title="Nothing yet">It starts with the first update of this device.</Empty>;
          }
          return (
            <ol className="timeline">
              {lines.map((line) => (
                <Line key={line.key} line={line} names={names} />
              ))}
            </ol>
          );
        }}
      </Loaded>
      <MoreButton query={timeline} />
    </Panel>
  );
}

interface LineProps {
  readonly line: TimelineLine;
  readonly names: ReadonlyMap<number, string>;
}

function Line({ line: { at, tone, text, note, rollout, attempt }, names }: LineProps) {
  return (
    <li className={tone}>
      <p>
        <strong>{text}</strong>
        {attempt !== null && attempt > 1 && ` (attempt ${attempt})`}
        {rollout !== null && (
          <>
            {' by '}
            <Link href={`/rollouts/${rollout}`}>{names.get(rollout) ?? `rollout ${rollout}`}</Link>
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
