import { expect, test } from 'vitest';
import { describeRevocation } from '../../api/describe-revocation.ts';

const rollout = (name: string, changes: object = {}) => ({
  ...{ name, state: 'active' as const, firmware_version: '2.0.0', pending: 3, in_progress: 2, succeeded: 0 },
  ...changes,
});
const release = { version: '2.0.0', devices: 0 };

test('says that nothing runs and nothing sends a release', () => {
  expect(describeRevocation(release, [])).toEqual(['No device runs it.', 'No active rollout sends it.']);
});

test('names what halts, what never starts, and what loses a stepping stone', () => {
  expect(
    describeRevocation({ ...release, devices: 1_204 }, [
      rollout('vans', { succeeded: 1_204 }),
      rollout('boats'),
      rollout('cabins', { state: 'scheduled', pending: 9 }),
      rollout('to 3', { firmware_version: '3.0.0' }),
      rollout('earlier', { state: 'completed', succeeded: 7 }),
    ]),
  ).toEqual([
    '1,204 devices run it and keep it.',
    '2 active rollouts halt: "vans", "boats" (6 updates pending, 4 under way).',
    'Rollouts that will not send it: "cabins".',
    'Rollouts that lose it as a stepping stone and go on: "to 3".',
    'To send devices back to the version before, recover "vans" after its halt, "earlier".',
  ]);
});

test.each([
  ['aborted', 'recover "vans".'],
  ['halted', 'recover "vans".'],
  ['completed', 'recover "vans".'],
  ['scheduled', 'recover "vans" once it is paused.'],
] as const)('says how to recover the devices of a rollout that is %s', (state, how) => {
  const sentences = describeRevocation({ ...release, devices: 1 }, [rollout('vans', { state, succeeded: 1 })]);
  expect(sentences.at(-1)).toBe(`To send devices back to the version before, ${how}`);
});

test('counts one as one', () => {
  expect(describeRevocation({ ...release, devices: 1 }, [rollout('vans', { pending: 1, in_progress: 0 })])).toEqual([
    '1 device runs it and keeps it.',
    '1 active rollout halts: "vans" (1 update pending, 0 under way).',
  ]);
});
