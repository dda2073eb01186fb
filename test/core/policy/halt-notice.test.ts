import { expect, test } from 'vitest';
import { describeHalt } from '../../../core/policy/index.ts';

const FACTS = {
  rolloutId: 12,
  name: 'vans to 1.2',
  firmwareVersion: '1.2.0',
  deviceModel: 'esp32-s3',
  reason: '2 of 3 devices failed; the rollout allows 10%',
  at: new Date('2026-03-02T12:00:00Z'),
  numbers: { assigned: 20, succeeded: 1, failed: 2, silent: 0 },
  failures: [
    { reason: '1.2.0 did not boot', devices: 5, examples: ['d0', 'd1', 'd2'] },
    { reason: 'invalid firmware (9)', devices: 1, examples: ['d7'] },
  ],
};

test('a halt is described by rollout, reason, counts, first failures and the commands to act', () => {
  expect(describeHalt(FACTS)).toEqual({
    summary: "Rollout 'vans to 1.2' (1.2.0 for esp32-s3) was halted at 2026-03-02T12:00:00.000Z.",
    reason: '2 of 3 devices failed; the rollout allows 10%',
    devices: '20 assigned, 1 proven, 2 failed, 0 silent',
    failures: '1.2.0 did not boot, on 5 devices: d0, d1, d2 and 2 more; invalid firmware (9), on 1 device: d7',
    look: 'paku-ota rollout show 12, or the page /rollouts/12 of the console (paku-ota console)',
    abort: "paku-ota rollout abort 12 --reason '...'",
    recover: "paku-ota rollout recover 12 --reason '...'",
  });
});

test('a halt without failures says none', () => {
  expect(describeHalt({ ...FACTS, failures: [] }).failures).toBe('none');
});

test.each([
  ['line breaks', 'a\r\nAbort: rm', 'a Abort: rm'],
  ['line separators', 'a\u2028b', 'a b'],
  ['placeholders and quotes of the template', '<summary> "x" \\"', "'summary' 'x' /'"],
  ['more than 400 characters', 'x'.repeat(500), `${'x'.repeat(400)}…`],
])('a message of a device cannot bring %s into the mail', (_, reason, line) => {
  expect(describeHalt({ ...FACTS, reason }).reason).toBe(line);
});
