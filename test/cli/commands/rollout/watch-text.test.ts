import { describe, expect, test } from 'vitest';
import type { DeviceUpdate, Progress, Rollout } from '../../../../api/rollouts.ts';
import {
  expectedDevices,
  ratePerMinute,
  remaining,
  watchLine,
  watchLines,
} from '../../../../cli/commands/rollout/watch-text.ts';
import { progressText, stageLines } from '../../../../cli/text/index.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const earlier = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();

const rollout = {
  rollout_id: 7,
  name: 'vans to 2.1',
  firmware_version: '2.1.0',
  device_model: 'esp32-s3',
  state: 'active',
  waiting_for: 'waiting for 3 more outcomes',
  paused_by: null,
  paused_reason: null,
  start_at: null,
  rollout_percentage: 100,
  stages: [
    { percentage: 5, soak_minutes: 0 },
    { percentage: 25, soak_minutes: 0 },
  ],
  completed_at: null,
  aborted_at: null,
  stage: 1,
  devices: 25,
  pending: 8,
  in_progress: 4,
  succeeded: 11,
  failed: 1,
  canceled: 1,
} as Rollout;

const progress: Progress = {
  stages: [
    { stage: 0, size: 5, began_at: earlier(900), ended_at: earlier(600), states: { success: 5 } },
    {
      stage: 1,
      size: 25,
      began_at: earlier(600),
      ended_at: null,
      states: { success: 6, failed: 1, canceled: 1, downloading: 3, sent: 1, pending: 8 },
    },
  ],
  funnel: { assigned: 1, sent: 1, answered: 1, installed: 0, booted: 0, succeeded: 0 },
  failures: [{ status: 'failed', cause: 'delivery', reason: 'download failed', devices: 1 }],
  outcomes: [
    { at: earlier(900), succeeded: 5, failed: 0 },
    { at: earlier(300), succeeded: 6, failed: 1 },
  ],
};

const failure = {
  device_id: 'ESP32-1',
  status: 'failed',
  attempt: 3,
  reason: 'download failed',
  completed_at: earlier(120),
} as DeviceUpdate;

const preview = {
  matching: 100,
  excluded: 0,
  targeted: 100,
  will_be_updated: 83,
  via_stepping_stone: 0,
  stages: [],
  stepping_stones: [],
  will_not: [],
  warnings: [],
  set_apart: 0,
  first_stage_covers: [],
  held_by_others: [],
  held: [],
};

describe('the live view', () => {
  test('shows a bar for each stage, the rate, the estimated time left and the latest failures', () => {
    expect(watchLines({ rollout, progress, failures: [failure], expected: 94 }, NOW)).toEqual([
      'vans to 2.1  esp32-s3 to 2.1.0  active, waiting for 3 more outcomes',
      '',
      'stage 1  ████████████████████████ 100 %  of 5:  5 ✓',
      'stage 2  █████████░░░░░░░░░░░░░░░  40 %  of 20:  6 ✓  1 ✗  4 under way  8 pending  1 canceled',
      '',
      '25 devices assigned: 11 succeeded, 1 failed, 1 canceled, 4 under way, 8 pending   42 an hour, 81 to go: about 2 h at this rate',
      '',
      'Latest failures',
      '  ✗ ESP32-1  failed in attempt 3: download failed  2 min ago',
    ]);
  });

  test('says why a rollout halted and by whom', () => {
    const halted: Rollout = { ...rollout, state: 'halted', paused_by: 'orchestrator', paused_reason: '3 of 5 failed' };
    expect(watchLine({ rollout: halted, progress, failures: [], expected: null })).toBe(
      'halted in stage 2 by orchestrator: 3 of 5 failed: 25 devices assigned: 11 succeeded, 1 failed, 1 canceled, 4 under way, 8 pending',
    );
  });

  test('computes the rate over the last ten minutes, or since the first outcome', () => {
    expect(ratePerMinute(progress, NOW)).toBeCloseTo(0.7);
    const begun = { ...progress, outcomes: [{ at: earlier(120), succeeded: 9, failed: 1 }] };
    expect(ratePerMinute(begun, NOW)).toBeCloseTo(5);
    expect(ratePerMinute({ ...progress, outcomes: [] }, NOW)).toBeNull();
  });

  test('counts open and unreached devices as remaining, and never fewer than the open ones', () => {
    expect(expectedDevices(rollout, preview)).toBe(94);
    expect(expectedDevices({ ...rollout, rollout_percentage: 50 }, preview)).toBe(53);
    expect(remaining({ rollout, expected: 94 })).toBe(81);
    expect(remaining({ rollout, expected: null })).toBe(12);
    expect(remaining({ rollout, expected: 20 })).toBe(12);
  });
});

describe('the bar of a stage', () => {
  const ended = earlier(600);
  const stage = (
    number: number,
    size: number,
    states: Progress['stages'][number]['states'],
    ended_at: string | null,
  ) => ({
    stage: number,
    size,
    began_at: earlier(900),
    ended_at,
    states,
  });
  const bars = (stages: Progress['stages'], of: Partial<Rollout>) =>
    stageLines({ ...progress, stages, failures: [] }, { ...rollout, ...of });

  test('is full when the stage is over, even if targeted devices ran the version before', () => {
    expect(bars([stage(0, 5, { success: 3 }, ended), stage(1, 20, {}, ended)], {})).toEqual([
      'stage 1  ████████████████████████ 100 %  of 3:  3 ✓',
      'stage 2  no devices',
    ]);
  });

  test('shows a wave of a slow start without pending devices', () => {
    expect(
      bars([stage(0, 1, { success: 1, pending: 3 }, ended), stage(1, 2, { installing: 1 }, null)], { stages: null }),
    ).toEqual([
      'wave 1  ████████████████████████ 100 %  of 1:  1 ✓',
      'wave 2  ░░░░░░░░░░░░░░░░░░░░░░░░   0 %  of 2:  1 under way',
    ]);
  });
});

test('progress lists failures by reason', () => {
  expect(progressText(progress, rollout).slice(-2)).toEqual([
    'Failures by reason',
    '       1  failed: download failed',
  ]);
});
