import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { api, messageOf } from '../data/client.ts';
import { useLastError } from './last-error.ts';

const PAGES = [
  { name: 'Overview', href: '/' },
  { name: 'Devices', href: '/devices' },
  { name: 'Releases', href: '/releases' },
  { name: 'Rollouts', href: '/rollouts' },
  { name: 'Holds', href: '/holds' },
];

const isWithin = (location: string, href: string) =>
  href === '/' ? location === '/' : location === href || location.startsWith(`${href}/`);

export function Shell({ children }: { readonly children: ReactNode }) {
  const [location] = useLocation();
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="top">
        <Link href="/" className="mark" aria-label="paku-ota, overview">
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M8 2v8M4.5 6.8 8 10.2l3.5-3.4M3 13.5h10" />
          </svg>
          paku-ota
        </Link>
        <nav aria-label="Pages">
          {PAGES.map(({ name, href }) => (
            <Link key={href} href={href} aria-current={isWithin(location, href) ? 'page' : undefined}>
              {name}
            </Link>
          ))}
        </nav>
        <Connection />
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** Whether the API answers, and the identity that signs the calls. */
function Connection() {
  const info = useQuery({ queryKey: ['info'], queryFn: api.info, refetchInterval: 10_000 });
  const { data } = info;
  const error = useLastError(info);
  if (error !== null) {
    return (
      <p className="connection lost" role="alert">
        <span className="dot" aria-hidden="true" />
        No answer: {messageOf(error)}
      </p>
    );
  }
  if (data === undefined) return <p className="connection">Connecting …</p>;
  return (
    <p className="connection" title={data.caller}>
      <span className="dot" aria-hidden="true" /> <span className="long">Live as </span>
      {data.caller.slice(data.caller.lastIndexOf('/') + 1)}
    </p>
  );
}
