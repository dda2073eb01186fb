import { Page } from './page.tsx';

/** Shown when the console was restarted: the session of this page is no longer valid. */
export function SessionEnd() {
  return (
    <main>
      <Page title="This address was for an earlier run">
        <p>
          The console was started again since. Open the address that <code>npm start</code> or{' '}
          <code>paku-ota console</code> printed then; it carries the key of that run.
        </p>
        <p>
          <button type="button" onClick={() => window.location.reload()}>
            I have: load this page again
          </button>
        </p>
      </Page>
    </main>
  );
}
