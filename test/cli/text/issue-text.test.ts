import { expect, test } from 'vitest';
import { issueEffectText } from '../../../cli/text/index.ts';

test('the effect of an issue names the rollouts whose recovery sends devices back', () => {
  const sender = { rollout_id: 7, rollout_name: 'vans', firmware_version: '2.0.0', state: 'completed' as const };
  const senders = [
    { ...sender, devices: 3 },
    { ...sender, rollout_id: 4, rollout_name: 'lab', state: 'active' as const, devices: 1 },
  ];
  const effect = { devices: 5, running: 4, pending: 1, recoverable: senders, warnings: [] };
  expect(issueEffectText(effect)).toEqual([
    '5 devices are sent no release that has it; 1 pending update to such a release is not sent.',
    '4 devices of them run such a release already.',
    'Rollout "vans" sent 2.0.0 to 3 devices. To send them back to the version before: paku-ota rollout recover 7 --preview',
    'Rollout "lab" sent 2.0.0 to 1 device. To send them back to the version before, once it is stopped: paku-ota rollout recover 4 --preview',
  ]);
  expect(issueEffectText({ ...effect, running: 0 })).toHaveLength(1);
});
