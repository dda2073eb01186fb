import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  BROWSER_NOTE,
  type BrowserSession,
  isBrowserMissing,
  seriousViolations,
  startBrowser,
} from '../support/browser.ts';

// A browser is slow when many tests share the machine.
vi.setConfig({ testTimeout: 90_000 });

let browser: BrowserSession;
beforeAll(async () => {
  if (isBrowserMissing) return;
  // These pages need no service: the answers are given, or the service is unreachable.
  browser = await startBrowser({
    region: 'eu-west-1',
    api: { url: `http://127.0.0.1:${await closedPort()}`, accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'none' },
  });
});
afterAll(() => browser?.close());

/** A port on which nothing listens. */
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
    idle_since: null,
    seen: { online: 0, last_hour: 0, last_day: 0, last_week: 0, is_estimate: false },
    versions: [],
    rollouts: [],
    attention: [],
  },
  '/v1/fleet/history': NOTHING,
  '/v1/devices': NOTHING,
  '/v1/groups': NOTHING,
  '/v1/holds': NOTHING,
  '/v1/releases': NOTHING,
  '/v1/rejected-uploads': NOTHING,
  '/v1/rollouts': NOTHING,
};

const SOON = new Date(Date.now() + 240_000).toISOString();

const deviceWith = (bootedAt: string | null) => ({
  ...DEVICE['/v1/devices/d1'],
  update: {
    rollout_name: 'vans to 1.1.0',
    firmware_version: '1.1.0',
    status: 'success',
    is_open: true,
    progress_percent: 100,
    reason: null,
    booted_at: bootedAt,
    deadline_at: SOON,
  },
});

const DEVICE = {
  '/v1/devices/d1': {
    device_id: 'd1',
    device_model: 'm',
    current_firmware_version: '1.0.0',
    online: true,
    presence: { state: 'online', since: SOON, usual_seconds: 60, text: 'last heard 20 s ago, usually every 60 s' },
    connection: null,
    refusals: null,
    last_seen: null,
    registered_at: SOON,
    groups: [],
    metadata: {},
    update: null,
    revoked_at: null,
    revoked_by: null,
    revoked_reason: null,
    mac_address: null,
    signal_strength_dbm: null,
    uptime_seconds: null,
    client_id: null,
    command_family: null,
    last_status: {},
    model_is_assumed: false,
    reported_model: null,
    reported_mac: null,
    identity_changed_at: null,
    identity_change: null,
    mac_shared_with: [],
    holds: [],
    facts: {},
    status_fault: null,
    rejected_message: null,
  },
  '/v1/devices/d1/timeline': { items: [] },
};

const STATED = {
  slot_bytes: { value: 1_966_080, stated_at: SOON },
  note: { value: '<b>hostile</b>', stated_at: null },
};

const releaseOf = (version: string, revoked_at: string | null = null) => ({ device_model: 'm', version, revoked_at });
const ROLLOUT = {
  '/v1/releases': {
    items: [releaseOf('1.3.0', SOON), releaseOf('1.2.0'), releaseOf('1.1.0')],
    next_cursor: null,
  },
  '/v1/rollouts': { items: [{ rollout_id: 1, name: 'vans to 1.1.0', firmware_version: '1.1.0' }], next_cursor: null },
  '/v1/devices/d1/explain': {
    device_id: 'd1',
    rollout_id: 1,
    rollout_name: 'vans to 1.1.0',
    firmware_version: '1.1.0',
    rule: 'has a pending update to 1.1.0',
    since: null,
    next: 'it is sent soon',
    presence: { state: 'online', since: SOON, usual_seconds: 60, text: 'last heard 20 s ago, usually every 60 s' },
    connection: null,
    refusals: null,
  },
};

describe.skipIf(isBrowserMissing)(`a page of the console${BROWSER_NOTE}`, () => {
  test.each([
    ['/', 'A device registers itself with its first status message'],
    ['/', 'No rollout is under way'],
    ['/', 'No rollout is halted, and nothing was rejected in the last day'],
    ['/devices', 'No devices yet'],
    ['/devices?version=1.0.0', 'No device matches'],
    ['/releases', 'No release yet'],
    ['/rollouts', 'No rollout yet'],
    ['/holds', 'Nothing is held'],
    ['/rollouts/new', 'Choose a release to see which devices would get it.'],
  ])('%s without data says "%s"', async (path, text) => {
    const page = await browser.open(path, { answers: EMPTY });
    await page.getByText(text).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await page.context().close();
  });

  test('the page of a device shows what it states about itself as text', async () => {
    const answers = { ...EMPTY, ...DEVICE, '/v1/devices/d1': { ...DEVICE['/v1/devices/d1'], facts: STATED } };
    const page = await browser.open('/devices/d1', { answers });
    const facts = await page.textContent('.facts-panel');
    expect(facts).toContain('1,966,080 bytes');
    expect(facts).toContain('<b>hostile</b>');
  });

  test('of a device without a rollout says so, and does not call explain', async () => {
    const page = await browser.open('/devices/d1', { answers: { ...EMPTY, ...DEVICE } });
    await page.getByText('No rollout is for it: no rollout targets it.').waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    expect(browser.complaints.filter((complaint) => complaint.includes('/devices/d1'))).toEqual([]);
    await page.context().close();
  });

  test('of a device explains its own rollout first, and offers the releases that are not revoked', async () => {
    const page = await browser.open('/devices/d1', { answers: { ...EMPTY, ...DEVICE, ...ROLLOUT } });
    await page.getByRole('heading', { name: 'Why is it not on' }).waitFor();
    await page.getByRole('link', { name: 'vans to 1.1.0' }).waitFor();
    const choice = page.getByLabel('Version');
    expect(await choice.inputValue()).toBe('1.1.0');
    expect(await choice.locator('option').allInnerTexts()).toEqual(['1.2.0', '1.1.0']);
    await choice.selectOption('1.2.0');
    await page.getByText('No rollout sends 1.2.0 to devices of model m').waitFor();
    await page.context().close();
  });

  test.each([
    [null, 'installed, not booted yet'],
    [SOON, 'on probation'],
  ])('of devices shows an open success that booted at %s as "%s"', async (bootedAt, text) => {
    const device = deviceWith(bootedAt);
    const answers = {
      ...EMPTY,
      ...DEVICE,
      '/v1/devices': { items: [device], next_cursor: null },
      '/v1/devices/d1': device,
    };
    for (const path of ['/devices', '/devices/d1']) {
      const page = await browser.open(path, { answers });
      await page.locator('.pill.busy', { hasText: text }).waitFor();
      expect(await page.locator('.pill', { hasText: 'success' }).count()).toBe(0);
      await page.context().close();
    }
  });

  test('of a device asks before it saves groups by which a rollout sends to the device, and not before others', async () => {
    const reached = { rollout_id: 1, rollout_name: 'vans to 1.1.0', firmware_version: '1.1.0', devices: 1 };
    const device = { ...DEVICE['/v1/devices/d1'], groups: ['vans'] };
    const answers = {
      ...EMPTY,
      ...DEVICE,
      '/v1/devices/d1/groups': { ...device, reached_by: [reached] },
      '/v1/devices/preview-change': { reached_by: [reached] },
    };
    const page = await browser.open('/devices/d1', { answers });
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Change groups' }).click();
    await dialog.getByLabel('Groups', { exact: true }).fill('vans');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.getByText('1.1.0 by “vans to 1.1.0”').waitFor();
    await dialog.getByText('1 device', { exact: true }).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Save and send' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.context().close();
  });

  test('of a new rollout asks before it starts one without devices, and names the group that has none', async () => {
    const groups = { items: [{ group_name: 'beta', devices: 2 }], next_cursor: null };
    const none = {
      stepping_stones: [],
      stages: [],
      warnings: [],
      will_not: [],
      held_by_others: [],
      held: [],
      set_apart: 0,
      first_stage_covers: [],
    };
    const preview = { matching: 0, targeted: 0, will_be_updated: 0, via_stepping_stone: 0, ...none };
    const answers = { ...EMPTY, '/v1/groups': groups, '/v1/rollouts/preview': preview };
    const page = await browser.open('/rollouts/new?model=m&version=1.0.0', { answers });
    await page.getByLabel('Devices', { exact: true }).selectOption('group');
    await page.getByText('beta').click();
    await page.getByText('No device of model m is in the group beta.').waitFor();
    await page.getByRole('button', { name: 'Start anyway' }).waitFor();
    expect(await page.getByRole('button', { name: 'Save as draft' }).isEnabled()).toBe(true);
    expect(await page.locator('button.primary:not(dialog *)').count()).toBe(0);
    await page.getByRole('button', { name: 'Start anyway' }).click();
    await page.getByRole('dialog', { name: 'Start without devices?' }).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await page.context().close();
  });

  test('takes the session of another tab, removes the key from the address, and says where a session comes from', async () => {
    const page = await browser.open('/devices');
    expect(page.url()).toBe(new URL('/devices', browser.console.url).href);
    const second = await page.context().newPage();
    await second.goto(new URL('/rollouts', browser.console.url).href);
    await second.getByRole('heading', { level: 1, name: 'Rollouts' }).waitFor();
    expect(await page.context().cookies()).toEqual([]);
    await second.close();
    await page.evaluate('sessionStorage.clear()');
    await page.reload();
    await page.getByRole('heading', { name: 'No open session' }).waitFor();
    await page.getByText('the address that npm start').waitFor();
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
      // The page does not flicker while the query runs again.
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
