import { expect, test } from 'vitest';
import type { ApiClient } from '../../api/client.ts';
import { type RolloutReport, readReport, reportMarkdown, reportText } from '../../api/rollout-report.ts';
import type { Decision } from '../../api/rollouts.ts';

const table = { title: 'Failures', head: ['reason', 'devices'], none: 'None.' };

test('text of devices and people cannot change the structure of a report', () => {
  const hostile = 'a | b\n# heading <img src=x> [link](http://x) `code`';
  const text = { title: hostile, sentences: [hostile], tables: [{ ...table, rows: [[hostile, 1]] }] };
  const lines = reportMarkdown(text).split('\n');
  expect(lines).toEqual([
    '# a \\| b \\# heading \\<img src=x\\> \\[link\\](http://x) \\`code\\`',
    '',
    'a \\| b \\# heading \\<img src=x\\> \\[link\\](http://x) \\`code\\`',
    '',
    '## Failures',
    '',
    '| reason | devices |',
    '| --- | --- |',
    '| a \\| b \\# heading \\<img src=x\\> \\[link\\](http://x) \\`code\\` | 1 |',
    '',
  ]);
});

test('a table without rows says so', () => {
  expect(reportMarkdown({ title: 't', sentences: [], tables: [{ ...table, rows: [] }] })).toContain(
    '## Failures\n\nNone.',
  );
});

test('a decision of the service has no author, and stages count from 1', () => {
  const decision: Decision = {
    ...{ event_id: 1, rollout_id: 1, rollout_name: 'r', firmware_version: '2.0.0', device_model: 'esp32-s3' },
    ...{ at: '2026-03-02T12:00:00.000Z', event: 'rollout_stage_began', reason: null, decided_by: null },
    detail: { stage: 0, devices: 2 },
  };
  const report = {
    ...{ at: '', decisions: [decision], remaining: { will_be_updated: 0, will_not: [] }, health: null },
    rollout: { target_filter: {}, paused_reason: null },
    progress: { funnel: { assigned: 0, sent: 0, answered: 0, installed: 0, booted: 0, succeeded: 0 }, failures: [] },
  } as unknown as RolloutReport;
  const { rows } = reportText(report).tables.at(-1) ?? {};
  expect(rows).toEqual([['2026-03-02T12:00:00.000Z', 'stage began', '', 'stage 1, devices 2']]);
});

test.each([
  ['active', null, ['Targeted, and not to be updated as of 2026-03-02T12:00:00.000Z']],
  ['completed', '2026-03-01T12:00:00.000Z', []],
])('reasons of today are marked, and a rollout that has ended has none: %s', async (state, completed, titles) => {
  const rollout = { rollout_id: 1, state, devices: 0, target_filter: {}, paused_reason: null, completed_at: completed };
  const now = { will_be_updated: 0, will_not: [{ reason: 'release 2.0.0 was revoked: leaks', devices: 18 }] };
  const client = {
    rollout: async () => ({ ...rollout, aborted_at: null }),
    progress: async () => ({ funnel: {}, failures: [] }),
    decisions: async () => ({ items: [] }),
    previewOf: async () => now,
  } as unknown as ApiClient;
  const { tables } = reportText(await readReport(client, 1, new Date('2026-03-02T12:00:00Z')));
  expect(tables.map(({ title }) => title).filter((title) => title.startsWith('Targeted'))).toEqual(titles);
  expect(JSON.stringify(tables).includes('was revoked')).toBe(titles.length > 0);
});
