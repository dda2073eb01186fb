import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { ASSEMBLY } from '../support/assembly.ts';
import {
  BROWSER_NOTE,
  type BrowserSession,
  isBrowserMissing,
  seriousViolations,
  startBrowser,
} from '../support/browser.ts';
import { NEVER_IDLE, startTestSystem, type TestSystem } from '../support/system.ts';

// A browser is slow when many tests share the machine.
vi.setConfig({ testTimeout: 90_000 });

let system: TestSystem;
let operator: BrowserSession;
let approver: BrowserSession;
beforeAll(async () => {
  if (isBrowserMissing) return;
  system = await startTestSystem(ASSEMBLY, {}, { ...NEVER_IDLE, REQUIRE_APPROVAL: 'true' });
  const { endpoints } = system.runtime;
  operator = await startBrowser(endpoints);
  approver = await startBrowser({ ...endpoints, api: { ...endpoints.approver, url: endpoints.api.url } });
  for (const version of ['1.1.0', '1.2.0']) {
    await system.upload(`firmware/${version}/esp32-s3.bin`, buildImage({ version }));
  }
  await system.device({ deviceId: 'VAN-1' });
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM firmware_releases', ({ n }) => n === 2);
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM devices', ({ n }) => n === 1);
});
afterAll(async () => {
  await approver?.close();
  await operator?.close();
  await system?.close();
});

const state = (page: Page, name: string) => page.locator('.page-head .pill', { hasText: name });
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

/** Decides in the dialog that a button opens. */
async function decide(page: Page, name: string, reason: string, confirm = name): Promise<void> {
  await button(page, `${name} …`).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill(reason);
  await dialog.getByRole('button', { name: confirm, exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
}

/** Requests the start of a rollout. @returns the page of the rollout */
async function requestStart(version: string): Promise<Page> {
  const page = await operator.open(`/rollouts/new?model=esp32-s3&version=${version}`);
  await page.getByText('it sends nothing until a second person has approved it').waitFor();
  await page.getByRole('button', { name: /^(Start|Request the start)/ }).click();
  await page.getByRole('heading', { level: 1, name: `esp32-s3 to ${version}` }).waitFor();
  await page.getByText('Waits for approval by a second person.').waitFor();
  return page;
}

describe.skipIf(isBrowserMissing)(`where a second person approves rollouts${BROWSER_NOTE}`, () => {
  test('the one who requested a start sees why not to approve it, and a second person approves it', async () => {
    const own = await requestStart('1.1.0');
    await own.getByText('You cannot approve it: you requested it, and a second person must approve it.').waitFor();
    expect(await button(own, 'Approve …').count()).toBe(0);
    await state(own, 'draft').waitFor();
    expect(await seriousViolations(own)).toEqual([]);

    const page = await approver.open('/');
    const item = page.getByRole('listitem').filter({ hasText: 'waits for approval by a second person' });
    await item.getByRole('link', { name: 'View rollout' }).click();
    await page.getByText('user/operator requested its start').waitFor();
    await button(page, 'Approve …').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('1 of 1 device would be updated').waitFor();
    expect(await dialog.getByText('Needs approval').count()).toBe(0);
    await page.getByText('1 device', { exact: true }).waitFor();
    const confirm = dialog.getByRole('button', { name: 'Approve', exact: true });
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel('Reason').fill('read the changelog');
    expect(await seriousViolations(page)).toEqual([]);
    await confirm.click();
    await dialog.waitFor({ state: 'detached' });
    await state(page, 'active').waitFor();
    await page.getByText('Waits for approval by a second person.').waitFor({ state: 'detached' });
    await page.getByText('read the changelog').waitFor();
    await own.context().close();
    await page.context().close();
  });

  test('a second person rejects a start, and the one who requested another takes it back', async () => {
    const own = await requestStart('1.2.0');
    const page = await approver.open(new URL(own.url()).pathname);
    await decide(page, 'Reject', 'not on a Friday');
    await page.getByText('A draft: nothing is sent before it is started.').waitFor();
    await page.getByText('not on a Friday').waitFor();

    await own.reload();
    await button(own, 'Start …').click();
    const dialog = own.getByRole('dialog');
    await dialog.getByText('It is only requested, and done once a second person has approved it.').waitFor();
    await dialog.getByRole('button', { name: 'Request the start', exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
    await decide(own, 'Take back', 'a mistake', 'Take back');
    await own.getByText('A draft: nothing is sent before it is started.').waitFor();
    await own.context().close();
    await page.context().close();
  });

  test('a resumption says that it is only requested', async () => {
    const [rollout] = await system.database.query<{ id: number }>(
      `SELECT id FROM rollout_configurations WHERE firmware_version = '1.1.0'`,
    );
    const page = await operator.open(`/rollouts/${rollout?.id}`);
    await decide(page, 'Pause', 'lunch');
    await state(page, 'paused').waitFor();
    await button(page, 'Resume …').click();
    await page.getByRole('dialog').getByText('It is only requested').waitFor();
    await page.getByRole('dialog').getByLabel('Reason').fill('back');
    await page.getByRole('dialog').getByRole('button', { name: 'Request the resumption' }).click();
    await page.getByText('requested its resumption').waitFor();
    await state(page, 'paused').waitFor();
    await page.context().close();
  });

  test('no page complains', () => {
    expect([...operator.complaints, ...approver.complaints]).toEqual([]);
  });
});
