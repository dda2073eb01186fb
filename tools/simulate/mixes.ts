import { DEFAULT_STORY, type StoryOptions } from './story.ts';

/** A kind of fleet. */
export interface Mix {
  readonly title: string;
  readonly options: Partial<StoryOptions>;
}

const CALM = { ...DEFAULT_STORY, sleepers: 0.2, loss: 0.02, broken: 0, flaky: 0.02 };
const HARD = { ...CALM, sleepers: 0.5, sleepFrom: 10, sleepTo: 360, loss: 0.2 };

export const MIXES = {
  calm: { title: '20% sleepers up to 2 h, 2% loss', options: CALM },
  'no-uptime': { title: 'the same, no uptime in any status', options: { ...CALM, noUptime: 1 } },
  hard: { title: '50% sleepers of 10 min to 6 h, 20% loss', options: HARD },
  'hard-no-uptime': { title: 'the same, no uptime in any status', options: { ...HARD, noUptime: 1 } },
  growing: { title: 'half of the fleet registers later', options: { ...CALM, growth: 0.5 } },
  'power-loss': { title: '10% of the devices lose power', options: { ...CALM, powerLoss: 0.1 } },
  'broken-1': { title: '1% of boards can never be updated', options: { ...CALM, broken: 0.01 } },
  'broken-2': { title: '2% of boards can never be updated', options: { ...CALM, broken: 0.02 } },
  'broken-5': { title: '5% of boards can never be updated', options: { ...CALM, broken: 0.05 } },
} as const satisfies Record<string, Mix>;

export type MixName = keyof typeof MIXES;
export const MIX_NAMES = Object.keys(MIXES) as MixName[];
