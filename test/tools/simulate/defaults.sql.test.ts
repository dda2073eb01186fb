import { describe, expect, test } from 'vitest';
import { BUILD_NAMES, DEFAULT_STORY, playStory } from '../../../tools/simulate/story.ts';

const TIMEOUT = 5 * 60_000;
const BAD = BUILD_NAMES.filter((build) => build !== 'good' && !build.startsWith('rolls-back'));

describe.each(BAD.map((build, index) => ({ build, seed: index + 1 })))(
  'with default settings, the rollout of a bad build ($build)',
  ({ build, seed }) => {
    test(
      'halts before it has reached more than 5 devices of 20',
      async () => {
        const { ended, reached } = await playStory({ ...DEFAULT_STORY, devices: 20, build, seed });
        expect(ended).toBe('halted');
        expect(reached).toBeLessThanOrEqual(5);
      },
      TIMEOUT,
    );

    // They take a minute each; all of them run with PAKU_OTA_LONG=1.
    test.runIf(seed <= 2 || process.env.PAKU_OTA_LONG)(
      'halts before it has reached 2% of a fleet',
      async () => {
        const { ended, reached } = await playStory({ ...DEFAULT_STORY, devices: 1_000, build, seed });
        expect(ended).toBe('halted');
        expect(reached).toBeLessThan(20);
      },
      TIMEOUT,
    );
  },
);

test(
  'a build that is rolled back after its rollout has ended is counted, and halts nothing',
  async () => {
    const { ended, lateRollbacks, listed } = await playStory({
      ...DEFAULT_STORY,
      devices: 10,
      build: 'rolls-back-later',
      broken: 0,
      sleepers: 0,
      loss: 0,
      rollbackHours: 8,
    });
    expect({ ended, lateRollbacks, listed }).toEqual({ ended: 'completed', lateRollbacks: 10, listed: 10 });
  },
  TIMEOUT,
);

test(
  'a build that is rolled back while its rollout still runs is counted, is listed, and halts it',
  async () => {
    const { ended, reason, reached, lateRollbacks, listed } = await playStory({
      ...DEFAULT_STORY,
      devices: 40,
      build: 'rolls-back-soon',
      broken: 0,
      sleepers: 0,
      loss: 0,
      flaky: 0,
    });
    expect({ ended, reason }).toEqual({ ended: 'halted', reason: expect.stringContaining('failed') });
    expect(reached).toBeLessThan(40);
    expect(lateRollbacks).toBeGreaterThanOrEqual(2);
    expect(listed).toBe(lateRollbacks);
  },
  TIMEOUT,
);

test(
  'with default settings, a good build reaches every device of a fleet that sleeps, loses messages and fails some downloads',
  async () => {
    const { ended, reached, onTarget, states } = await playStory({
      ...DEFAULT_STORY,
      devices: 40,
      build: 'good',
      broken: 0,
      seed: 1,
    });
    expect({ ended, reached, onTarget, states }).toEqual({
      ended: 'completed',
      reached: 40,
      onTarget: 40,
      states: { success: 40 },
    });
  },
  TIMEOUT,
);
