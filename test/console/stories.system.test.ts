import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { scaledClock } from '../../fleet/clock.ts';
import { buildConsole } from '../../local/start/index.ts';
import { BROWSER_NOTE, type BrowserSession, isBrowserMissing, keepTicking, startBrowser } from '../support/browser.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

// A rollout takes longer when many tests share the machine.
const A_WHILE = 80_000;
vi.setConfig({ testTimeout: 2 * A_WHILE });
const SMALL_PARTITION = 40_000;

let system: TestSystem;
let browser: BrowserSession;
let stopTicking: () => Promise<void>;
beforeAll(async () => {
  if (isBrowserMissing) return;
  system = await startTestSystem();
  browser = await startBrowser(system.runtime.endpoints);
  stopTicking = keepTicking(system.runtime);
  const clock = scaledClock(20);
  for (const deviceId of ['VAN-1', 'VAN-2', 'VAN-3']) await system.device({ deviceId, clock });
  await system.device({ deviceId: 'VAN-NEWER', firmwareVersion: '2.0.0', clock });
  const small = { model: 'small-s3', clock, otaPartitionBytes: SMALL_PARTITION };
  for (const deviceId of ['SMALL-1', 'SMALL-2']) await system.device({ deviceId, ...small });
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM devices', ({ n }) => n === 6);
});
afterAll(async () => {
  await stopTicking?.();
  await browser?.close();
  await system?.close();
});

/** Drops a file, as a person drags it in from the desktop. */
async function drop(page: Page, image: Buffer): Promise<void> {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const bytes = Uint8Array.from(atob('${image.toString('base64')}'), (char) => char.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], 'firmware.bin'));
    return transfer;
  })()`);
  await page.getByRole('region', { name: 'Upload an image' }).dispatchEvent('drop', { dataTransfer });
}

async function choose(page: Page, image: Buffer): Promise<void> {
  const file = { name: 'firmware.bin', mimeType: 'application/octet-stream', buffer: image };
  await page.locator('input[type=file]').setInputFiles(file);
}

async function upload(page: Page, model: string): Promise<void> {
  await page.getByLabel('Device model').fill(model);
  await page.getByRole('button', { name: 'Upload' }).click();
}

/** Opens a dialog by its button, fills it, confirms it, and waits until it closes. */
const actsOn =
  (page: Page) =>
  async (name: string, fill: (dialog: Locator) => Promise<void>, button = name) => {
    await page.getByRole('button', { name: `${name} …` }).click();
    const dialog = page.getByRole('dialog');
    await fill(dialog);
    await dialog.getByRole('button', { name: button }).click();
    await dialog.waitFor({ state: 'detached' });
  };

const state = (page: Page, name: string) => page.locator('.page-head .pill', { hasText: name });

describe.skipIf(isBrowserMissing)(`an operator at the console${BROWSER_NOTE}`, () => {
  test('drops an image, sees a preview before anything is sent, starts the rollout and watches it complete', async () => {
    const page = await browser.open('/releases');
    await drop(page, buildImage({ version: '1.2.0', project: 'van' }));
    await page.getByText('It embeds van 1.2.0.').waitFor();
    expect(await page.getByLabel('Version', { exact: true }).inputValue()).toBe('1.2.0');
    await page.getByLabel('Device model').fill('esp32-s33');
    await page.getByText('No device of this model has reported yet.').waitFor();
    await upload(page, 'esp32-s3');
    await page.getByRole('heading', { name: 'Registered' }).first().waitFor();
    await page.getByRole('link', { name: 'Roll it out' }).click();

    const preview = page.getByRole('region', { name: 'Preview' });
    await preview.getByText('3 of 4 devices would be updated').waitFor();
    expect(await preview.getByRole('listitem').allInnerTexts()).toEqual([
      expect.stringMatching(/^newer than 1\.2\.0\s+1$/),
    ]);
    expect(await system.database.query('SELECT 1 FROM rollout_configurations')).toEqual([]);

    await page.getByText('Advanced').click();
    await page.getByLabel('Probation (min)').fill('0');
    await page.getByRole('button', { name: 'Start for 3 devices' }).click();
    await page.getByRole('heading', { level: 1, name: 'esp32-s3 to 1.2.0' }).waitFor();
    await state(page, 'completed').waitFor({ timeout: A_WHILE });
    await page.getByRole('img', { name: 'Of 3 devices: 3 succeeded' }).first().waitFor();
    await page.getByText('All devices finished').waitFor();
    await page.getByText('Eligible devices').click();
    await page.getByText('0 of 4 devices would be updated').waitFor();
    await page.getByText('newer than 1.2.0').waitFor();

    await page.getByRole('link', { name: 'VAN-1' }).click();
    await page.getByRole('heading', { name: 'Why is it on' }).waitFor();
    await page.getByText('It runs 1.2.0.').waitFor();
    await page.getByText('image written, rebooting').waitFor();
  });

  test('asks why a device is not on a version, and gets the reason', async () => {
    const page = await browser.open('/devices');
    await page.getByLabel('Search').fill('van-new');
    await page.getByRole('link', { name: 'VAN-1' }).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'VAN-NEWER' }).click();
    await page.getByRole('heading', { name: 'Why is it not on' }).waitFor();
    await page.getByText('It is on 2.0.0, which is newer than 1.2.0.').waitFor();
    await page.getByText('Nothing, unless the rollout allows a downgrade').waitFor();
  });

  test('sees why an upload was rejected, what the file is, and the verdict again after a reload', async () => {
    const page = await browser.open('/releases');
    await choose(page, buildImage({ chip: 'ESP32-C3', version: '1.3.0' }));
    await upload(page, 'esp32-s3');
    await page.getByRole('heading', { name: 'Rejected: Wrong chip' }).waitFor();
    await page.getByText('The image is for ESP32-C3, model esp32-s3 has ESP32-S3.').first().waitFor();
    await page.getByText('Readable contents').click();
    await page.getByRole('region', { name: 'Segments' }).waitFor();

    await page.getByRole('button', { name: 'Upload another' }).click();
    await choose(page, Buffer.from('<html>Not found</html>'));
    await page.getByText('This is a text file, no application image, and would be rejected.').waitFor();
    expect(await page.getByLabel('Device model').inputValue()).toBe('');
    await page.getByLabel('Version', { exact: true }).fill('1.4.0');
    await upload(page, 'esp32-s3');
    await page.getByRole('heading', { name: 'Rejected: Web page' }).waitFor();
    await page.reload();
    const rejected = page.getByRole('region', { name: 'Rejected' });
    await rejected.getByText('firmware/1.4.0/esp32-s3.bin').waitFor();
    await rejected.getByText('firmware/1.3.0/esp32-s3.bin').waitFor();
  });

  test('sees a bad build halt automatically, with the reason, and aborts it', async () => {
    await system.upload('firmware/1.1.0/small-s3.bin', buildImage({ version: '1.1.0' }));
    await system.until(`SELECT 1 FROM firmware_releases WHERE device_model = 'small-s3'`);
    const page = await browser.open('/rollouts/new?model=small-s3&version=1.1.0');
    await page.getByLabel('Name of the rollout').fill('too large');
    await page.getByLabel('Max failures (blank: no limit)').fill('1');
    await page.getByText('Advanced').click();
    await page.getByLabel('Attempts per device').fill('1');
    await page.getByRole('button', { name: 'Start for 2 devices' }).click();
    await state(page, 'halted').waitFor({ timeout: A_WHILE });
    await page.getByText(/^Halted automatically, .*1 of 1 device failed; the rollout allows fewer than 1\.$/).waitFor();
    const failures = page.getByRole('region', { name: 'Failures by reason' });
    await failures.getByRole('listitem').first().waitFor();
    expect(await failures.getByRole('listitem').allInnerTexts()).toEqual([expect.stringMatching(/^failed .*\s+1$/s)]);

    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByText('Rollout "too large" is halted').waitFor();
    await page.getByRole('link', { name: 'View rollout' }).first().click();

    await page.getByRole('button', { name: 'Abort' }).click();
    const dialog = page.getByRole('dialog');
    const confirm = dialog.getByRole('button', { name: 'Abort' });
    await dialog.getByLabel('Reason').fill('the partition is too small');
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel('I understand that this rollout cannot be resumed').check();
    await confirm.click();
    await state(page, 'aborted').waitFor();
    await page.getByText(/^Aborted by operator, .*: the partition is too small\.$/).waitFor();
    expect(await page.getByRole('button', { name: /Resume|Retry|Abort/ }).count()).toBe(0);

    await page.getByRole('link', { name: 'Report' }).click();
    await page.getByRole('row', { name: 'command sent 1 100%' }).waitFor();
    await page.getByRole('row', { name: /^the build failed .* 1$/ }).waitFor();
    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save Markdown' }).click();
    const saved = readFileSync(await (await saving).path(), 'utf8');
    expect(saved).toMatch(/^# Rollout "too large": aborted\n/);
    expect(saved).toMatch(/\| aborted \| .* \| the partition is too small \|/);
  });

  test('starts a draft, pauses it, changes its limits, resumes it and advances it, with a reason for each', async () => {
    const page = await browser.open('/rollouts/new?model=esp32-s3&version=1.2.0');
    await page.getByLabel('Name of the rollout').fill('held up');
    await page.getByRole('button', { name: 'Save as draft' }).click();
    await state(page, 'draft').waitFor();
    const act = actsOn(page);
    const because = (reason: string) => (dialog: Locator) => dialog.getByLabel('Reason').fill(reason);
    await act('Start', (dialog) => dialog.getByText('0 of 4 devices would be updated').waitFor());
    await state(page, 'active').waitFor();
    await act('Pause', because('lunch'));
    await state(page, 'paused').waitFor();
    await page.getByText(/^Paused by operator, .*: lunch\.$/).waitFor();
    await act(
      'Change limits',
      async (dialog) => {
        await dialog.getByLabel('Max in flight').fill('3');
        await dialog.getByLabel('Max per attribute value').fill('site=2');
      },
      'Change',
    );
    await act('Resume', because('lunch is over'));
    await state(page, 'active').waitFor();
    await act('Advance', because('no need to wait'));
    await page.getByRole('region', { name: 'Activity' }).getByText('No need to wait').waitFor();
    const [changed] = await system.database.query(
      "SELECT max_in_flight, max_in_flight_per, paused_at FROM rollout_configurations WHERE name = 'held up'",
    );
    expect(changed).toEqual({ max_in_flight: 3, max_in_flight_per: { attribute: 'site', max: 2 }, paused_at: null });
  });

  test('sets attributes of a device, revokes it, and reinstates it', async () => {
    const page = await browser.open('/devices/VAN-3');
    const act = actsOn(page);
    await act('Change attributes', (dialog) => dialog.getByLabel('Attributes').fill('site=rome\nslot=3'), 'Save');
    await page.getByText('site = rome, slot = 3').waitFor();
    await act('Change attributes', (dialog) => dialog.getByLabel('Attributes').fill('slot=3'), 'Save');
    await page.getByText('slot = 3', { exact: true }).waitFor();

    await act('Revoke', async (dialog) => {
      await dialog.getByLabel('Reason').fill('stolen in Turin');
      expect(await dialog.getByRole('button', { name: 'Revoke' }).isDisabled()).toBe(true);
      await dialog.getByLabel('I understand that its certificates stop working for good').check();
    });
    await state(page, 'revoked').waitFor();
    await state(page, 'offline').waitFor();
    await page.getByText(/by .*operator: stolen in Turin$/).waitFor();
    expect(await page.getByRole('button', { name: 'Send a release …' }).count()).toBe(0);
    await page.getByRole('button', { name: 'Revoke again …' }).waitFor();

    await act('Reinstate', (dialog) => dialog.getByLabel('Reason').fill('found'));
    await state(page, 'revoked').waitFor({ state: 'detached' });
  });

  test('sees which field the service refuses, and that a rollout with the name exists', async () => {
    const page = await browser.open('/rollouts/new?model=esp32-s3&version=1.2.0');
    await page.getByLabel('Percentage of devices').fill('0');
    await page.getByRole('alert').filter({ hasText: '1' }).first().waitFor();
    expect(await page.getByLabel('Percentage of devices').getAttribute('aria-invalid')).toBe('true');
    expect(await page.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true);
    await page.getByLabel('Percentage of devices').fill('50');
    await page.getByRole('button', { name: 'Save as draft' }).click();
    await page.getByText('There is already a rollout "esp32-s3 to 1.2.0"').waitFor();
  });

  test('can use the keyboard only', async () => {
    const page = await browser.open('/rollouts');
    await page.keyboard.press('Shift+Tab');
    for (let i = 0; i < 12 && (await focused(page)) !== 'Skip to the content'; i++)
      await page.keyboard.press('Shift+Tab');
    expect(await focused(page)).toBe('Skip to the content');
    for (const name of ['paku-ota', 'Overview', 'Devices']) {
      await page.keyboard.press('Tab');
      expect(await focused(page)).toBe(name);
    }
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor();
    expect(await focused(page)).toBe('Devices');

    await page.goto(new URL('/devices/VAN-1', browser.console.url).href);
    const opener = page.getByRole('button', { name: 'Change groups' });
    await opener.press('Enter');
    await page.getByLabel('Groups', { exact: true }).fill('vans, early');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByText('early, vans').waitFor();
    await opener.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  });

  test('loads less than 150 KB of compressed JavaScript for the first page, its chart included', async () => {
    // A chart needs more than one point.
    await system.database.query(
      `INSERT INTO fleet_versions VALUES (now() - interval '1 hour', 'esp32-s3', '1.0.0', 4)`,
    );
    const page = await browser.open('/');
    await page.locator('canvas').first().waitFor();
    const names = await page.evaluate<string[]>(
      `performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => name.endsWith('.js'))`,
    );
    const files = await buildConsole();
    const sizes = names.map((name) => gzipSync(readFileSync(join(files, new URL(name).pathname))).length);
    expect(names.length).toBeGreaterThan(1);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(150_000);
  });

  test('no resource or script of a page was refused or failed, except calls that the service refuses', () => {
    const refusals = /the server responded with a status of 4(00|04|09)/;
    expect(browser.complaints.filter((complaint) => !refusals.test(complaint))).toEqual([]);
  });
});

const focused = (page: Page) => page.evaluate<string>('document.activeElement.innerText.trim()');
