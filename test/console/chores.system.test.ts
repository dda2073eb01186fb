import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import {
  BROWSER_NOTE,
  type BrowserSession,
  isBrowserMissing,
  seriousViolations,
  startBrowser,
} from '../support/browser.ts';
import { addDeadStatus } from '../support/dead-letters.ts';
import { addRelease } from '../support/rows.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

vi.setConfig({ testTimeout: 60_000 });

let system: TestSystem;
let browser: BrowserSession;
beforeAll(async () => {
  if (isBrowserMissing) return;
  system = await startTestSystem();
  browser = await startBrowser(system.runtime.endpoints);
  await register('CROWD', 60);
});
afterAll(async () => {
  await browser?.close();
  await system?.close();
});

const register = (name: string, devices: number) =>
  system.database.query(
    `INSERT INTO devices (device_id, device_model, current_firmware_version, online, last_seen)
     SELECT :name || '-' || lpad(n::text, 2, '0'), lower(:name), '1.' || n % 2 || '.0', n < 5, now()
     FROM generate_series(1, :devices::integer) AS n`,
    { name, devices },
  );

describe.skipIf(isBrowserMissing)(`an operator at the console${BROWSER_NOTE}`, () => {
  test('pages through devices, and filters them by the address', async () => {
    const page = await browser.open('/devices');
    const rows = page.locator('table.list tbody tr');
    await page.getByRole('link', { name: 'CROWD-50' }).waitFor();
    expect(await rows.count()).toBe(50);
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByRole('link', { name: 'CROWD-60' }).waitFor();
    expect(await rows.count()).toBe(60);

    await page.getByLabel('Model').selectOption('crowd');
    await page.getByLabel('Version').selectOption('1.1.0');
    await page.getByLabel('Online', { exact: true }).selectOption('yes');
    await page.getByRole('link', { name: 'CROWD-05' }).waitFor({ state: 'detached' });
    expect(await page.locator('table.list tbody th').allInnerTexts()).toEqual([
      expect.stringContaining('CROWD-01'),
      expect.stringContaining('CROWD-03'),
    ]);
    await page.reload();
    await page.getByRole('link', { name: 'CROWD-03' }).waitFor();
    expect(await rows.count()).toBe(2);
    await page.getByLabel('Last seen').selectOption('not for 1 week');
    await page.getByRole('button', { name: 'Show all devices' }).click();
    await page.getByRole('link', { name: 'CROWD-50' }).waitFor();
  });

  test('keeps devices from a release with a known issue, and states the release that fixes it', async () => {
    for (const version of ['2.0.0', '2.1.0']) await addRelease(system.database, version, { model: 'crowd' });
    const page = await browser.open('/releases/crowd/2.0.0');
    await page.getByRole('button', { name: 'Add known issue …' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('60 devices', { exact: true }).waitFor();
    await dialog.getByLabel('Title').fill('the heater stays on');
    await dialog.getByLabel('Device ids or MAC addresses').fill('CROWD-01 CROWD-02');
    await dialog.getByText('2 devices', { exact: true }).waitFor();
    await dialog.getByText('Exceptions', { exact: true }).click();
    await dialog.getByLabel('Except ids or MAC addresses').fill('CROWD-02');
    await dialog.getByText('1 device', { exact: true }).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByText('Concerns the devices CROWD-01, CROWD-02, except the device CROWD-02.').waitFor();

    await page.getByRole('button', { name: /^Fix known issue/ }).click();
    await dialog.getByLabel('Release that fixes it').selectOption('2.1.0');
    await dialog.getByText('No rollout sends anything because of it.').waitFor();
    await dialog.getByRole('button', { name: 'State the fix' }).click();
    await page.getByText('fixed in 2.1.0').waitFor();
    await page.goto(page.url().replace('2.0.0', '2.1.0'));
    await page.getByText('None is known.').waitFor();
  });

  test('sees new devices without a reload', async () => {
    const page = await browser.open('/devices?model=late');
    await page.getByText('No device matches').waitFor();
    await register('LATE', 1);
    await page.getByRole('link', { name: 'LATE-01' }).waitFor();
  });

  test('verifies a rejected upload again', async () => {
    await system.upload('firmware/1.0.0/esp32-s3.bin', buildImage({ chip: 'ESP32-C3', version: '1.0.0' }));
    const rejected = `SELECT 1 FROM rejected_uploads WHERE verdict = 'WRONG_CHIP'`;
    await system.until(rejected);
    const page = await browser.open('/releases');
    await page.getByRole('button', { name: 'Verify again …' }).waitFor();
    await page.getByText('put into S3 directly, by account 000000000000, from 127.0.0.1').waitFor();
    await system.database.query('DELETE FROM rejected_uploads');
    await page.getByRole('button', { name: 'Verify again …' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Verify again' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await system.until(rejected);
  });

  test('shows who uploaded a release', async () => {
    const image = buildImage({ version: '1.4.0' });
    await system.upload('firmware/1.4.0/esp32-s3.bin', image);
    await system.until(`SELECT 1 FROM firmware_releases WHERE version = '1.4.0'`);
    const page = await browser.open('/releases/esp32-s3/1.4.0');
    await page.getByText('put into S3 directly, by account 000000000000, from 127.0.0.1').waitFor();
  });

  test('redrives dead letters, and the notice disappears', async () => {
    await addDeadStatus(system, 'RISEN-1');
    const page = await browser.open('/');
    await page.getByText('1 message was not handled and waits in the status queue').waitFor();
    await page.getByRole('button', { name: 'View the queues' }).click();
    await page.getByRole('dialog').getByText('status: about 1').waitFor();
    await page.getByRole('button', { name: 'Redrive …' }).click();
    await page.getByRole('button', { name: 'Redrive' }).click();
    await system.until(`SELECT 1 FROM devices WHERE device_id = 'RISEN-1'`);
    await page.getByText('waits in the status queue').waitFor({ state: 'detached' });
  });

  test('stops everything that sends, and removes the hold, each after its effect in numbers', async () => {
    const page = await browser.open('/');
    await page.getByRole('button', { name: 'Stop everything …' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText(/^\d+ devices are sent nothing until the hold ends\. 0 active rollouts wait\.$/).waitFor();
    await dialog.getByText('0 updates whose command was sent go on').waitFor();
    await dialog.getByLabel('Ends').fill('tomorrow');
    expect(await dialog.getByRole('button', { name: 'Stop everything' }).isDisabled()).toBe(true);
    await dialog.getByLabel('Ends').fill('');
    await dialog.getByRole('button', { name: 'Stop everything' }).click();
    await page.getByText(/^The whole service is held: stopped at the console \(set by /).waitFor();
    await page.getByRole('link', { name: 'View holds' }).click();
    await page.getByRole('button', { name: /^Remove hold \d+$/ }).click();
    await dialog.getByText('No rollout sends anything because of it.').waitFor();
    await dialog.getByLabel('Reason').fill('a false alarm');
    await dialog.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('Nothing is held').waitFor();
    await page.getByText(/: a false alarm\.$/).waitFor();
  });

  test('no resource or script of a page was refused or failed', () => {
    expect(browser.complaints).toEqual([]);
  });
});
