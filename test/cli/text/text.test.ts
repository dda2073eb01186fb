import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceUpdate, Rollout, RolloutSummary } from '../../../api/rollouts.ts';
import { detailText, updateText } from '../../../cli/text/device-text.ts';
import { planText, previewText, rolloutTable, rolloutText } from '../../../cli/text/rollout-text.ts';
import { facts, shorten, table } from '../../../cli/text/table.ts';
import { ago, bar, bytes, caller, count, percent } from '../../../cli/text/units.ts';
import { printable } from '../../../core/util/index.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const earlier = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();

describe('a table', () => {
  test('aligns its columns, and numbers by their last digit', () => {
    const rows = [
      { name: 'vans', devices: 4312 },
      { name: 'a longer name', devices: 9 },
      { name: '', devices: 0 },
    ];
    const lines = table(rows, [
      { head: 'GROUP', value: ({ name }) => name },
      { head: 'DEVICES', value: ({ devices }) => devices, align: 'right' },
      { head: 'END', value: () => null },
    ]);
    expect(lines).toEqual([
      'GROUP          DEVICES  END',
      'vans             4,312',
      'a longer name        9',
      '–                    0',
    ]);
  });

  test('begins each column at the same place for any cells', () => {
    const cell = fc.string({ maxLength: 12 }).map((text) => printable(text).replaceAll('|', '').trim());
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1 }), (rows) => {
        const lines = table(rows, [
          { head: 'A', value: ([a]) => a },
          { head: 'B', value: () => '|' },
          { head: 'C', value: ([, c]) => c },
        ]);
        const columns = lines.slice(1).map((line) => [...line].indexOf('|'));
        expect(new Set(columns).size).toBe(1);
      }),
    );
  });

  test('of facts leaves out unknown values', () => {
    expect(
      facts([
        ['chip', 'ESP32-S3'],
        ['notes', null],
        ['size', 3],
      ]),
    ).toEqual(['chip  ESP32-S3', 'size  3']);
  });
});

test('a text that is too long for a line ends with an ellipsis', () => {
  expect([shorten('abcdef', 6), shorten('abcdefg', 6)]).toEqual(['abcdef', 'abcde…']);
});

test('text of devices cannot command the terminal', () => {
  const at = new Date(0);
  expect(printable({ at })).toEqual({ at });
  expect(printable({ 'a\x1b[31m': ['\u0007x\u009b2J', 3, null], b: { c: 'caffè ✓' } })).toEqual({
    'a [31m': [' x 2J', 3, null],
    b: { c: 'caffè ✓' },
  });
});

test('times, sizes and shares are written as people write them', () => {
  expect([3, 45, 600, 7200, 90_000, 900_000].map((s) => ago(earlier(s), NOW))).toEqual([
    'just now',
    '45 s ago',
    '10 min ago',
    '2 h ago',
    '25 h ago',
    '10 days ago',
  ]);
  expect([ago(earlier(-7200), NOW), ago(null, NOW)]).toEqual(['in 2 h', 'never']);
  expect([bytes(900), bytes(600_000), bytes(1_887_436)]).toEqual(['900 bytes', '586 KiB', '1.8 MiB']);
  expect([count(1, 'device'), count(4312, 'device')]).toEqual(['1 device', '4,312 devices']);
  expect([percent(999, 1000), percent(1000, 1000), percent(0, 0)]).toEqual(['99 %', '100 %', '100 %']);
  expect([bar(0, 4), bar(0.99, 4), bar(1, 4), bar(2, 4)]).toEqual(['░░░░', '███░', '████', '████']);
});

describe('a preview', () => {
  const preview = {
    matching: 4373,
    excluded: 0,
    targeted: 4373,
    will_be_updated: 4312,
    via_stepping_stone: 12,
    stages: [],
    stepping_stones: [
      { version: '2.0.0', devices: 0 },
      { version: '1.5.0', devices: 12 },
    ],
    will_not: [
      { reason: 'on 2.1.0 already', devices: 52 },
      { reason: 'newer than 2.1.0', devices: 9 },
    ],
    warnings: [],
    set_apart: 0,
    first_stage_covers: [],
    held_by_others: [],
    held: [],
  };

  test('says how many devices would be updated, how many not, and why', () => {
    expect(previewText(preview, {})).toEqual([
      '4,312 will be updated; 61 will not:',
      '      52  on 2.1.0 already',
      '       9  newer than 2.1.0',
      'Stepping stones: 2.0.0, 1.5.0. First go 12 to 1.5.0.',
    ]);
  });

  test('shows the warnings of the release', () => {
    const warnings = [{ code: 'VERSION_DIFFERS', message: 'the image calls itself 1.9.9' }];
    expect(previewText({ ...preview, warnings }, {})).toContain('Warning: the image calls itself 1.9.9');
  });

  test('says which devices are assigned to another rollout', () => {
    const held_by_others = [
      { rollout: 'vans', status: 'pending' as const, devices: 4 },
      { rollout: 'vans', status: 'under way' as const, devices: 1 },
    ];
    expect(previewText({ ...preview, held_by_others }, {}).slice(3, 5)).toEqual([
      '4 devices of those that will are to be updated by rollout "vans": this one takes them over.',
      '1 device of those that will is being updated by rollout "vans": this one waits for them.',
    ]);
  });

  test('of a percentage says how many devices take part', () => {
    const lines = previewText({ ...preview, targeted: 1094 }, { rollout_percentage: 25 });
    expect(lines.slice(0, 2)).toEqual([
      '25 % take part: 1,094 of 4,373 devices. Of all of them:',
      '4,312 would be updated; 61 will not:',
    ]);
  });

  test('says how many devices are excluded', () => {
    expect(previewText({ ...preview, excluded: 3 }, {})[3]).toBe('3 devices that would match are excluded.');
  });

  test('says how the first stage covers the names that the rollout gives', () => {
    const first_stage_covers = [
      { name: 'version', values: 2, covered: 2, left_out: [] },
      { name: 'attributes.site', values: 1, covered: 0, left_out: [{ value: null, devices: 1, is_reachable: false }] },
    ];
    expect(previewText({ ...preview, first_stage_covers }, {}).at(-1)).toBe(
      'The first stage covers 2 of 2 values of version, 0 of 1 value of attributes.site.',
    );
  });

  test('says that no device matches', () => {
    const none = {
      matching: 0,
      excluded: 0,
      targeted: 0,
      will_be_updated: 0,
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
    expect(previewText(none, {})).toEqual([expect.stringContaining('No device matches')]);
    expect(previewText({ ...none, excluded: 1 }, {})[1]).toBe('1 device that would match is excluded.');
  });

  test('is followed by the plan, with every setting that is not at its default', () => {
    const draft = { name: 'x', firmware_version: '2.1.0', device_model: 'esp32-s3' };
    expect(planText(draft)).toEqual([
      'stages     slowly at first, faster while devices succeed',
      'halts      above 10 % failures',
      'gives up   a device after 3 attempts, or after 30 days out of reach',
      'probation  5 minutes; an attempt may take 15 minutes, the restart 15 minutes',
    ]);
    expect(
      planText({
        ...draft,
        stages: [{ count: 3 }, { percentage: 25, soak_minutes: 60 }],
        max_in_flight: 200,
        max_in_flight_per: { attribute: 'site', max: 2 },
        failure_threshold: 0.05,
        failure_count: 1,
        start_at: '2026-03-02T22:00:00.000Z',
        after_rollout_id: 4,
        jitter_minutes: 30,
        priority: 5,
        give_up_days: 7,
        max_attempts: 1,
        probation_minutes: 60,
        keep_open: true,
        allow_downgrade: true,
        send_window: { from: '22:00', to: '05:00', time_zone: 'Europe/Rome' },
      }),
    ).toEqual([
      'stages     3 devices, then 25 % (soaks 60 min), then everyone',
      'at most    200 at once, 2 at once for each site',
      'halts      above 5 % failures, or at 1 failure',
      'starts     2026-03-02 22:00:00Z, after rollout #4 has completed',
      'sends      daily 22:00–05:00 Europe/Rome',
      'gives up   a device after 1 attempt, or after 7 days out of reach',
      'probation  60 minutes; an attempt may take 15 minutes, the restart 15 minutes',
      'jitter     commands spread over 30 minutes',
      'priority   5',
      'also       takes in devices that join later, may go to an older version',
    ]);
  });
});

test('the list of rollouts says when a rollout starts, after which one, and when it is aborted', () => {
  const summary = {
    rollout_id: 7,
    name: 'vans',
    device_model: 'esp32-s3',
    firmware_version: '2.1.0',
    state: 'scheduled',
    paused_reason: null,
    requested_action: null,
    devices: 0,
    pending: 0,
    in_progress: 0,
    succeeded: 0,
    failed: 0,
    created_at: earlier(600),
    start_at: '2026-03-05T22:00:00.000Z',
    after_rollout_id: 4,
    end_at: '2026-04-01T00:00:00.000Z',
  } as unknown as RolloutSummary;
  const remarks = 'starts 2026-03-05 22:00:00Z; starts after rollout #4; is aborted 2026-04-01 00:00:00Z';
  expect(rolloutTable([summary], NOW).at(-1)).toContain(remarks);
  expect(rolloutTable([{ ...summary, state: 'active' }], NOW).at(-1)).toMatch(/ago +is aborted 2026-04-01 00:00:00Z$/);
  expect(rolloutTable([{ ...summary, state: 'completed' }], NOW).at(-1)).not.toContain('aborted');
});

test('a rollout is shown with every condition of its target', () => {
  const rollout = {
    name: 'vans',
    state: 'draft',
    rollout_id: 7,
    device_model: 'esp32-s3',
    firmware_version: '2.1.0',
    target_filter: { groups: ['vans'], metadata: { site: 'rome' }, models: ['esp32-s3'] },
    rollout_percentage: 25,
    created_at: earlier(600),
    devices: 0,
    stages: null,
    paused_at: null,
    aborted_at: null,
    waiting_for: null,
    completed_at: null,
  } as unknown as Rollout;
  expect(rolloutText(rollout, NOW).find((line) => line.startsWith('devices'))).toBe(
    'devices    all devices in the group vans of the model esp32-s3 with the attribute site=rome, 25 % of them',
  );
});

test('the newest update of a device is described by a phrase', () => {
  const update = {
    rollout_name: 'x',
    firmware_version: '2.1.0',
    status: 'downloading' as DeviceUpdate['status'],
    is_open: true,
    progress_percent: 45 as number | null,
    reason: null as string | null,
    booted_at: null,
    deadline_at: null,
  };
  const text = (change: Partial<typeof update>, current = '2.0.0') =>
    updateText({ update: { ...update, ...change }, current_firmware_version: current });
  expect(text({})).toBe('→ 2.1.0 downloading 45 %');
  expect(text({ status: 'pending', progress_percent: null, reason: 'asleep' })).toBe('→ 2.1.0 pending: asleep');
  expect(text({ status: 'success' })).toBe('→ 2.1.0 installed, not booted yet');
  expect(text({ status: 'success' }, '2.1.0')).toBe('→ 2.1.0 on probation');
  expect(text({ status: 'success', is_open: false }, '2.1.0')).toBe('✓ 2.1.0');
  expect(text({ status: 'rolled_back', is_open: false, reason: 'back on 2.0.0' })).toBe(
    '✗ 2.1.0 rolled back: back on 2.0.0',
  );
  expect(updateText({ update: null, current_firmware_version: '2.0.0' })).toBeNull();
});

test('details are written as words, without the timestamp of the device', () => {
  expect(
    detailText({ state: 'Installing', elapsedMs: 3, timestamp: '1970', groups: ['a', 'b'], x: { y: 1 }, z: null }),
  ).toBe('state: Installing, elapsed ms: 3, groups: a b, x: y=1');
});

test('a caller is shown without the AWS account', () => {
  expect(['arn:aws:sts::123456789012:assumed-role/ops/ada', 'orchestrator'].map(caller)).toEqual([
    'assumed-role/ops/ada',
    'orchestrator',
  ]);
});
