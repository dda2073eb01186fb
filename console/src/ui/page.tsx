import { type ReactNode, useEffect, useRef } from 'react';
import { Link } from 'wouter';

interface PageProps {
  readonly title: string;
  /** The page above it, shown as a link before the title. */
  readonly parent?: { readonly name: string; readonly href: string };
  /** Beside the title. */
  readonly aside?: ReactNode;
  /** At the end of the title line. */
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** A page. Its heading takes the focus, so that a screen reader announces the page. */
export function Page({ title, parent, aside, actions, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · paku-ota`;
  }, [title]);
  useEffect(() => {
    window.scrollTo(0, 0);
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <>
      <header className="page-head">
        <div className="page-title">
          {parent && (
            <Link href={parent.href} className="crumb">
              {parent.name}
            </Link>
          )}
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {aside}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

interface PanelProps {
  readonly title: string;
  readonly aside?: ReactNode;
  readonly className?: string;
  readonly children: ReactNode;
}

export function Panel({ title, aside, className = '', children }: PanelProps) {
  return (
    <section className={`panel ${className}`} aria-label={title}>
      <div className="panel-head">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}
