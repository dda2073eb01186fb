import type { ReactNode } from 'react';
import { messageOf } from '../data/client.ts';
import { useLastError } from './last-error.ts';

interface LoadedProps<T> {
  readonly of: { readonly data: T | undefined; readonly error: Error | null; refetch(): unknown };
  /** Lines of the placeholder, about as high as the content, so that the page does not jump. */
  readonly lines?: number;
  readonly children: (data: T) => ReactNode;
}

/** The data of a query, a placeholder while it loads, or its error. Data stays visible while it is loaded again. */
export function Loaded<T>({ of, lines = 4, children }: LoadedProps<T>) {
  const { data, refetch } = of;
  const error = useLastError(of);
  if (data !== undefined) return children(data);
  if (error !== null) return <Failure error={error} retry={() => void refetch()} />;
  return (
    <div className="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines have nothing else
        <span key={line} />
      ))}
    </div>
  );
}

export function Failure({ error, retry }: { readonly error: unknown; readonly retry?: () => void }) {
  return (
    <div className="notice bad" role="alert">
      <p>{messageOf(error)}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Says that a list is empty, and how to fill it. */
export function Empty({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}
