import { Page } from './page.tsx';

/** Shown when this tab has no open session: it expired, the console was restarted, or the address had no key. */
export function SessionEnd() {
  return (
    <main>
      <Page title="No open session">
        <p>
          A session ends after an hour without use, after twelve hours, and when the console stops. To open a new one,
          open the address that <code>npm start</code> or <code>paku-ota console</code> printed. It ends in a key.
        </p>
        <p>
          <button type="button" onClick={() => window.location.reload()}>
            Reload
          </button>
        </p>
      </Page>
    </main>
  );
}
