import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  BROWSER_NOTE,
  type BrowserSession,
  isBrowserMissing,
  seriousViolations,
  startBrowser,
} from '../support/browser.ts';

// A browser is slow where many tests share a machine.
vi.setConfig({ testTimeout: 90_000 });

let browser: BrowserSession;
beforeAll(async () => {
  if (isBrowserMissing) return;
  // No service is needed for a page that has nothing to show, nor for one that cannot reach any.
  browser = await startBrowser({
    region: 'eu-west-1',
    api: { url: `http://127.0.0.1:${await closedPort()}` },
    dataApi: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'none' },
  });
});
afterAll(() => browser?.close());

/** Where nobody listens any more. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const NOTHING = { items: [], next_cursor: null };
const EMPTY = {
  '/v1/info': {
    version: '1',
    schema_version: 1,
    database_time: new Date().toISOString(),
    topic_prefix: 'paku',
    caller: 'me',
  },
  '/v1/fleet': {
    devices: 0,
    resting_since: null,
    seen: { last_hour: 0, last_day: 0, last_week: 0 },
    versions: [],
    rollouts: [],
    attention: [],
  },
  '/v1/fleet/history': NOTHING,
  '/v1/devices': NOTHING,
  '/v1/groups': NOTHING,
  '/v1/releases': NOTHING,
  '/v1/rejected-uploads': NOTHING,
  '/v1/rollouts': NOTHING,
};

describe.skipIf(isBrowserMissing)(`a page of the console${BROWSER_NOTE}`, () => {
  test.each([
    ['/', 'A device registers itself with its first status message'],
    ['/', 'No rollout is under way'],
    ['/', 'No rollout is halted, nothing was rejected in the last day'],
    ['/devices', 'No devices yet'],
    ['/devices?version=1.0.0', 'No device matches'],
    ['/releases', 'No release yet'],
    ['/rollouts', 'No rollout yet'],
    ['/rollouts/new', 'Choose a release: who would get it appears here.'],
  ])('%s without anything says "%s"', async (path, text) => {
    const page = await browser.open(path, { answers: EMPTY });
    await page.getByText(text).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await page.context().close();
  });

  test.each(['/', '/devices', '/releases', '/rollouts'])(
    '%s says that the service does not answer, and why',
    async (path) => {
      const page = await browser.open(path);
      await page.getByText(/No answer: http:.* connect ECONNREFUSED/).waitFor();
      const again = page.getByRole('main').getByRole('button', { name: 'Try again' }).first();
      await again.waitFor();
      expect(await seriousViolations(page)).toEqual([]);
      // Asked again, it does not flicker.
      await page.evaluate(`new MutationObserver(() => {
        if (document.querySelector('.skeleton')) document.title = 'flickered';
      }).observe(document.body, { childList: true, subtree: true })`);
      const answered = page.waitForResponse(/\/v1\//);
      await again.click();
      await answered;
      await again.waitFor();
      expect(await page.title()).not.toBe('flickered');
      await page.context().close();
    },
  );
});
