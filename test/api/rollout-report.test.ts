import { expect, test } from 'vitest';
import { reportMarkdown } from '../../api/rollout-report.ts';

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
