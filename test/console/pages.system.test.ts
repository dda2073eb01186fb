import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  BROWSER_NOTE,
  type BrowserSession,
  isBrowserMissing,
  keepTicking,
  seriousViolations,
  startBrowser,
} from '../support/browser.ts';
import { playReleaseDay, RELEASE_PATH, type ReleaseDay, TROUBLED_DEVICE } from '../support/release-day.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

/** With UPDATE_SCREENSHOTS=1 the screenshots of the documentation are updated. */
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const keepsScreenshots = process.env.UPDATE_SCREENSHOTS === '1';
const PHONE = 360;
const MAX_HEIGHT = 820;

// A browser is slow when many tests share the machine.
vi.setConfig({ testTimeout: 90_000 });

let system: TestSystem;
let browser: BrowserSession;
let day: ReleaseDay;
beforeAll(async () => {
  if (isBrowserMissing) return;
  system = await startTestSystem();
  const stopTicking = keepTicking(system.runtime);
  day = await playReleaseDay(system).finally(stopTicking);
  browser = await startBrowser(system.runtime.endpoints);
});
afterAll(async () => {
  await browser?.close();
  await system?.close();
});

interface Shown {
  readonly name: string;
  readonly path: () => string;
  /** Waits until the page is complete. */
  readonly until: (page: Page) => Promise<unknown>;
}

const PAGES: readonly Shown[] = [
  { name: 'overview', path: () => '/', until: (page) => page.locator('canvas').waitFor() },
  { name: 'devices', path: () => '/devices', until: (page) => page.getByRole('row').nth(20).waitFor() },
  {
    name: 'device',
    path: () => `/devices/${TROUBLED_DEVICE}`,
    until: async (page) => {
      await page.getByLabel('Version').selectOption('1.2.0');
      await page.getByText('failed in attempt 1').waitFor();
    },
  },
  { name: 'releases', path: () => '/releases', until: (page) => page.getByText('Web page', { exact: true }).waitFor() },
  { name: 'release', path: () => RELEASE_PATH, until: (page) => page.getByText('ELF SHA-256').waitFor() },
  { name: 'rollouts', path: () => '/rollouts', until: (page) => page.getByRole('row').nth(4).waitFor() },
  {
    name: 'new-rollout',
    path: () => '/rollouts/new?model=esp32-s3&version=1.2.0',
    until: async (page) => {
      await page.getByText('Advanced').click();
      await page.getByLabel('Pace').selectOption('stages');
      await page.getByText('would be updated').waitFor();
      await page.getByRole('button', { name: /^Start for/ }).waitFor();
    },
  },
  {
    name: 'rollout',
    path: () => `/rollouts/${day.stagedRollout}`,
    until: (page) => page.locator('canvas').waitFor(),
  },
  {
    name: 'halted-rollout',
    path: () => `/rollouts/${day.haltedRollout}`,
    until: (page) => page.locator('canvas').waitFor(),
  },
];

/** Tables that have to be scrolled sideways. */
const CUT_TABLES = `[...document.querySelectorAll('.table-frame')]
  .filter((frame) => frame.scrollWidth > frame.clientWidth).map((frame) => frame.ariaLabel)`;
/** Inputs that overlap their neighbours. */
const OVERLAPPING = `[...document.querySelectorAll('.field > input')]
  .filter((input) => input.getBoundingClientRect().right > input.parentElement.getBoundingClientRect().right + 1)
  .map((input) => input.parentElement.innerText)`;
/** The tops of inputs that are not aligned with the others of their row. */
const UNALIGNED = `[...document.querySelectorAll('.fields')].flatMap((fields) => {
  const tops = [...fields.querySelectorAll('.field > :is(input, select)')].map((each) => each.getBoundingClientRect().top);
  return tops.filter((top, at) => at > 0 && top !== tops[at - 1] && Math.abs(top - tops[at - 1]) < 30);
})`;

describe.skipIf(isBrowserMissing)(`pages of the console${BROWSER_NOTE}`, () => {
  const both = PAGES.flatMap((shown) => [
    { ...shown, scheme: 'light' },
    { ...shown, scheme: 'dark' },
  ]);

  test.each(both)('$name in $scheme has no serious violation found by axe', async ({ name, path, until, scheme }) => {
    const page = await browser.open(path(), { dark: scheme === 'dark' });
    await until(page);
    expect(await seriousViolations(page)).toEqual([]);
    expect(await page.evaluate<string[]>(OVERLAPPING)).toEqual([]);
    expect(await page.evaluate<number[]>(UNALIGNED)).toEqual([]);
    await keep(page, `console-${name}-${scheme}`);
    await page.context().close();
  });

  test.each(PAGES)(
    '$name fits a phone, and has no serious violation found by axe there',
    async ({ name, path, until }) => {
      const page = await browser.open(path(), { width: PHONE });
      await until(page);
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(PHONE);
      expect(await page.evaluate<string[]>(CUT_TABLES)).toEqual([]);
      expect(await seriousViolations(page)).toEqual([]);
      if (name === 'rollout') await keep(page, 'console-phone');
      await page.context().close();
    },
  );

  test.each(['light', 'dark'])('the dialog of an abort in %s has no serious violation found by axe', async (scheme) => {
    const page = await browser.open(`/rollouts/${day.haltedRollout}`, { dark: scheme === 'dark' });
    await page.getByRole('button', { name: 'Abort' }).click();
    await page.getByRole('dialog').waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await page.context().close();
  });

  test('axe finds a serious violation', async () => {
    const page = await browser.open('/rollouts');
    await page.evaluate(`document.querySelector('main').insertAdjacentHTML('beforeend', '<input>')`);
    expect(await seriousViolations(page)).toEqual([expect.stringMatching(/^label: <input>/)]);
    await page.context().close();
  });

  test.each([
    ['/devices/NOBODY', 'There is no device NOBODY.'],
    ['/rollouts/4711', 'There is no rollout 4711.'],
    ['/releases/esp32-s3/9.9.9', 'There is no release 9.9.9 for esp32-s3.'],
    ['/nowhere', 'There is nothing at this address.'],
  ])('%s says that the resource does not exist', async (path, text) => {
    const page = await browser.open(path);
    await page.getByText(text).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await page.context().close();
  });
});

async function keep(page: Page, name: string): Promise<void> {
  if (!keepsScreenshots) return;
  mkdirSync(IMAGES, { recursive: true });
  const { width = 0 } = page.viewportSize() ?? {};
  const whole = await page.evaluate<number>('document.documentElement.scrollHeight');
  const height = Math.min(whole, MAX_HEIGHT);
  await page.screenshot({ path: `${IMAGES}${name}.png`, fullPage: true, clip: { x: 0, y: 0, width, height } });
}
