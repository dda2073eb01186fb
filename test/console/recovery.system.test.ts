import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RecoveryPreview } from '../../api/recovery.ts';
import type { Rollout } from '../../api/rollouts.ts';
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
  // The answers are given, so nothing listens at the address of the service.
  const api = { url: 'http://127.0.0.1:9', accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'none' };
  browser = await startBrowser({ region: 'eu-west-1', api });
});
afterAll(() => browser?.close());

const AT = '2026-03-02T12:00:00.000Z';

const halted: Rollout = {
  rollout_id: 7,
  name: 'vans to 1.1.0',
  firmware_version: '1.1.0',
  device_model: 'esp32-s3',
  target_type: 'all',
  target_filter: {},
  rollout_percentage: 100,
  is_active: true,
  stages: null,
  failure_threshold: 0.1,
  failure_count: null,
  max_restart_ratio: 2,
  min_reports: 5,
  max_in_flight: null,
  max_in_flight_per: null,
  first_stage_covers: null,
  max_per_minute: null,
  send_window: null,
  keep_open: false,
  max_attempts: 3,
  attempt_timeout_minutes: 15,
  boot_timeout_minutes: 15,
  probation_minutes: 5,
  give_up_days: 30,
  start_at: null,
  after_rollout_id: null,
  end_at: null,
  jitter_minutes: 0,
  priority: 0,
  allow_downgrade: false,
  include_unknown: false,
  stepping_stones: [],
  state: 'halted',
  requested_action: null,
  approval: null,
  needs_approval: [],
  paused_reason: '2 of 2 devices failed; the rollout allows 10%',
  paused_by: 'orchestrator',
  paused_at: AT,
  created_at: AT,
  created_by: 'ada',
  updated_at: AT,
  completed_at: null,
  aborted_at: null,
  stage: 0,
  waiting_for: null,
  resume_devices: 63,
  devices: 5,
  pending: 0,
  in_progress: 0,
  succeeded: 2,
  failed: 2,
  canceled: 1,
};

const recovery: RecoveryPreview = {
  rollout_id: 7,
  state: 'halted',
  firmware_version: '1.1.0',
  can_recover: true,
  held: 0,
  devices: 4,
  by_version: [{ firmware_version: '1.0.0', devices: 4, may_run: 1 }],
  cannot: [{ reason: 'no release 0.9.0 is registered', devices: 1, device_ids: ['VAN-9'] }],
  under_way: 0,
  recoveries: [],
};

const sent = { name: 'vans to 1.1.0 (#7) back to 1.0.0', firmware_version: '1.0.0', rollout_id: 8 };
const counts = { devices: 4, pending: 3, in_progress: 0, succeeded: 1, failed: 0, canceled: 0 };
const answersOf = (rollout: Rollout, preview: RecoveryPreview) => ({
  '/v1/rollouts/7': rollout,
  '/v1/rollouts/7/progress': {
    funnel: { assigned: 0, sent: 0, answered: 0, installed: 0, booted: 0, succeeded: 0 },
    stages: [],
    failures: [],
    outcomes: [],
  },
  '/v1/rollouts/7/decisions': { items: [] },
  '/v1/rollouts/7/updates': { items: [], next_cursor: null },
  '/v1/rollouts/7/recovery': preview,
  '/v1/rollouts/7/recover': { ...preview, recoveries: [] },
});

describe.skipIf(isBrowserMissing)(`the page of a rollout${BROWSER_NOTE}`, () => {
  test('that is halted recommends to recover its devices, with their number, and to abort it; not to resume it', async () => {
    const page = await browser.open('/rollouts/7', { answers: answersOf(halted, recovery) });
    const recover = page.getByRole('button', { name: 'Recover 4 devices …' });
    await recover.waitFor();
    const prominent = page.locator('.page-head button.primary, .page-head button.danger:not(.quiet)');
    expect(await prominent.allInnerTexts()).toEqual(['Abort …', 'Recover 4 devices …']);
    expect(await seriousViolations(page)).toEqual([]);

    await recover.click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('back to 1.0.0; 1 of them went silent in the update and may not run 1.1.0').waitFor();
    await dialog.getByText('no release 0.9.0 is registered: VAN-9').waitFor();
    const confirm = dialog.getByRole('button', { name: 'Recover 4 devices' });
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel('Reason').fill('it restarts again and again');
    const request = page.waitForRequest((call) => call.method() === 'POST' && call.url().endsWith('/recover'));
    await confirm.click();
    expect((await request).postDataJSON()).toEqual({ reason: 'it restarts again and again' });
    await dialog.waitFor({ state: 'detached' });
    await page.context().close();
  });

  test('says how many devices a resumption sends to', async () => {
    const page = await browser.open('/rollouts/7', { answers: answersOf(halted, recovery) });
    await page.getByRole('button', { name: 'Resume …' }).click();
    await page
      .getByRole('dialog')
      .getByText('1.1.0 is sent to at most 63 devices before the gates decide again.')
      .waitFor();
    await page.context().close();
  });

  test('links to the rollouts that send its devices back, with their outcomes', async () => {
    const done = {
      ...recovery,
      devices: 0,
      by_version: [],
      cannot: [],
      recoveries: [{ ...sent, ...counts, state: 'active' as const }],
    };
    const page = await browser.open('/rollouts/7', { answers: answersOf(halted, done) });
    const panel = page.getByRole('region', { name: 'Recovery' });
    await panel.getByRole('link', { name: sent.name }).waitFor();
    await panel.getByText('1 of 4').waitFor();
    expect(await page.getByRole('button', { name: /^Recover/ }).count()).toBe(0);
    await page.context().close();
  });
});
