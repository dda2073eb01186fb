import { Page } from './page.tsx';

/** The console was started anew: the key in this page is of no use any more, and no other page may hand it a new one. */
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
