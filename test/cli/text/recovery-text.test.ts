import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import type { Recovery, RecoveryPreview } from '../../../api/recovery.ts';
import { recoveryPreviewText, recoveryText } from '../../../cli/text/index.ts';

const preview: RecoveryPreview = {
  rollout_id: 7,
  state: 'halted',
  firmware_version: '1.1.0',
  can_recover: true,
  held: 0,
  devices: 5,
  by_version: [
    { firmware_version: '1.0.0', devices: 4, may_run: 1 },
    { firmware_version: '0.9.0', devices: 1, may_run: 0 },
  ],
  cannot: [{ reason: 'no release 0.8.0 is registered', devices: 3, device_ids: ['van-1', 'van-2'] }],
  under_way: 1,
  recoveries: [],
};
const plain = (lines: readonly string[]) => lines.map(stripVTControlCharacters);

test('a preview says how many devices go back to which version, and names those that cannot', () => {
  expect(plain(recoveryPreviewText(preview))).toEqual([
    '5 devices would be sent back from 1.1.0:',
    '       4  to 1.0.0, 1 of which went silent in the update and may not run 1.1.0',
    '       1  to 0.9.0',
    '1 device still downloading or booting 1.1.0: sent back once they run it.',
    '3 devices cannot be sent back: no release 0.8.0 is registered',
    '          van-1, van-2, …',
  ]);
});

test('a preview of a rollout that still sends says that it must be paused', () => {
  const active = {
    ...preview,
    state: 'active',
    can_recover: false,
    devices: 0,
    by_version: [],
    cannot: [],
    under_way: 0,
  } as const;
  expect(plain(recoveryPreviewText({ ...active, by_version: [], cannot: [] }))).toEqual([
    'No device would be sent back from 1.1.0.',
    'The rollout is active: pause it before a recovery.',
  ]);
});

test('the answer says how many were assigned, shows the outcomes, and how to watch them', () => {
  const { can_recover, by_version, ...rest } = preview;
  const recovery: Recovery = {
    ...rest,
    cannot: [],
    under_way: 0,
    recoveries: [
      {
        rollout_id: 8,
        name: 'x (#7) back to 1.0.0',
        firmware_version: '1.0.0',
        state: 'active',
        devices: 5,
        pending: 3,
        in_progress: 1,
        succeeded: 1,
        failed: 0,
        canceled: 0,
      },
    ],
  };
  expect(plain(recoveryText(recovery)).map((line) => line.replace(/ +/g, ' '))).toEqual([
    '5 devices assigned: each gets its command when it reports next.',
    'RECOVERY STATE ASSIGNED DONE OPEN FAILED',
    'x (#7) back to 1.0.0 active 5 1 4 0',
    'Watch it: paku-ota rollout watch 8',
  ]);
});
