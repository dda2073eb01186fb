import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import type { Behaviours } from '../../fleet/device-options.ts';
import { GENERATIONS, type Generation } from '../../fleet/generations.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const VERSIONS = ['1.1.0', '1.4.0', '1.4.2'] as const satisfies Generation[];
const NEXT = '1.5.0';

/** Each story has a device of each generation, of a model of its own. */
const STORIES = {
  good: {},
  'boots-back': { bootFails: () => true },
  stalls: { stallLosesResult: () => true },
} satisfies Record<string, Behaviours>;
type Story = keyof typeof STORIES;

interface Update {
  readonly status: string;
  readonly attempt: number;
  readonly result_code: number | null;
  readonly booted_at: Date | null;
  readonly completed_at: Date | null;
}

let system: TestSystem;
const idOf = (generation: Generation, story: Story) => `${story}-${generation.replaceAll('.', '')}`;
const updateOf = (generation: Generation, story: Story, condition: (update: Update) => boolean) =>
  system.until(`SELECT * FROM device_update_status WHERE device_id = '${idOf(generation, story)}'`, condition);

beforeAll(async () => {
  system = await startTestSystem();
  const stories = Object.entries(STORIES) as [Story, Behaviours][];
  for (const [story, behaviours] of stories) {
    for (const generation of VERSIONS) {
      await system.device({
        ...GENERATIONS[generation],
        ...{ deviceId: idOf(generation, story), model: story, firmwareVersion: generation },
        behaviours: { slowRebootSeconds: 1, ...behaviours },
      });
    }
  }
  await system.until('SELECT count(*)::integer AS n FROM devices', ({ n }: { n: number }) => n === 9);
  // As after the first report of these devices on their topics.
  await system.database.query(`UPDATE devices SET command_family = 'edge' WHERE device_id LIKE '%-142'`);
  for (const [story] of stories) {
    await system.upload(`firmware/${NEXT}/${story}.bin`, buildImage({ version: NEXT }));
    await system.until(`SELECT 1 FROM firmware_releases WHERE device_model = '${story}'`);
    await system.database.query(
      `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages) VALUES (:story, :version, :story, '[]')`,
      { story, version: NEXT },
    );
  }
  await system.runtime.tick();
});
afterAll(() => system?.close());

describe.each(VERSIONS)('a device of firmware %s', (generation) => {
  test('is updated at the first attempt, in its window', async () => {
    const update = await updateOf(generation, 'good', ({ booted_at }) => booted_at !== null);
    expect(update).toMatchObject({ status: 'success', attempt: 1, result_code: 0 });
  });

  test('is rolled back by a build that does not boot, although it reported success', async () => {
    const update = await updateOf(generation, 'boots-back', ({ completed_at }) => completed_at !== null);
    expect(update).toMatchObject({ status: 'rolled_back', attempt: 1, result_code: 0 });
  });

  test('whose result is lost in a stall is taken for updated by its status', async () => {
    const update = await updateOf(generation, 'stalls', ({ booted_at }) => booted_at !== null);
    expect(update).toMatchObject({ status: 'success', attempt: 1, result_code: null });
  });

  test('is never disconnected by its policy', () => {
    expect(system.log.filter((line) => line.includes('may not'))).toEqual([]);
  });
});
