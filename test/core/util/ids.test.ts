import { expect, it } from 'vitest';
import type { DeviceId, ReleaseId, RolloutId, UpdateId } from '../../../core/util/index.ts';
import { ID } from '../../../core/util/index.ts';

const release: ReleaseId = ID.release.parse(7);
const rollout: RolloutId = ID.rollout.parse(7);
const update: UpdateId = ID.update.parse(7);
const device: DeviceId = ID.device.parse('van-1');

it('takes no id of one kind for an id of another: each of these lines must fail to compile', () => {
  // @ts-expect-error a release is no rollout
  const fromRelease: RolloutId = release;
  // @ts-expect-error a rollout is no update
  const fromRollout: UpdateId = rollout;
  // @ts-expect-error an update is no release
  const fromUpdate: ReleaseId = update;
  // @ts-expect-error a device's id is a text
  const fromDevice: RolloutId = device;
  expect([fromRelease, fromRollout, fromUpdate, fromDevice]).toEqual([7, 7, 7, 'van-1']);
});

it('reads an id as the number or text that it is', () => {
  expect(ID.update.safeParse('7').success).toBe(false);
  expect(ID.device.safeParse(7).success).toBe(false);
});
