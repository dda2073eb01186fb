import type { ReactNode } from 'react';
import { ago, dateTime } from '../text/format.ts';
import {
  labelOf,
  ROLLOUT_TONES,
  type RolloutState,
  type Tone,
  UPDATE_LABELS,
  type UpdateState,
} from '../text/labels.ts';
import { useNow } from './now.ts';

export function Pill({ tone, children }: { readonly tone: Tone; readonly children: ReactNode }) {
  return <span className={`pill ${tone}`}>{children}</span>;
}

export const RolloutPill = ({ state }: { readonly state: RolloutState }) => (
  <Pill tone={ROLLOUT_TONES[state]}>{state}</Pill>
);

export function StatusPill({ status }: { readonly status: UpdateState }) {
  const { text, tone } = UPDATE_LABELS[status];
  return <Pill tone={tone}>{text}</Pill>;
}

interface UpdatePillProps {
  readonly update: Parameters<typeof labelOf>[0] & { readonly progress_percent: number | null };
}

/** The state of an update. */
export function UpdatePill({ update }: UpdatePillProps) {
  const { status, progress_percent: percent } = update;
  const { text, tone } = labelOf(update);
  return (
    <Pill tone={tone}>
      {text}
      {status === 'downloading' && percent !== null && ` ${percent}%`}
    </Pill>
  );
}

export function Ago({ at, never = 'never' }: { readonly at: string | null; readonly never?: string }) {
  const now = useNow();
  if (at === null) return <>{never}</>;
  return (
    <time dateTime={at} title={dateTime(at)}>
      {ago(at, now)}
    </time>
  );
}

/** Online or offline, shown by shape and colour. */
export function Presence({ online }: { readonly online: boolean }) {
  return <span className={online ? 'presence on' : 'presence'} role="img" aria-label={online ? 'online' : 'offline'} />;
}

export interface Fact {
  readonly name: string;
  readonly value: ReactNode;
}

/** Names with their values, as a description list. */
export function Facts({ of }: { readonly of: readonly Fact[] }) {
  return (
    <dl className="facts">
      {of.map(({ name, value }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function MoreButton({ query }: { readonly query: MoreQuery }) {
  if (!query.hasNextPage) return null;
  return (
    <button
      type="button"
      className="more"
      onClick={() => void query.fetchNextPage()}
      disabled={query.isFetchingNextPage}
    >
      {query.isFetchingNextPage ? 'Loading …' : 'Show more'}
    </button>
  );
}

interface MoreQuery {
  readonly hasNextPage: boolean;
  readonly isFetchingNextPage: boolean;
  fetchNextPage(): Promise<unknown>;
}
