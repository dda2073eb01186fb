import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { loadRolloutRuntime } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { newRollout } from '../../support/preview.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

const DEVICES = 9;
const BROKEN = ['d0', 'd1', 'd2'];
const ALL = Array.from({ length: DEVICES }, (_, n) => `d${n}`);

/** A first rollout is complete, in which three of nine boards failed. */
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  await addDevices(db.app, DEVICES);
  service = new TestService(db.app);
  await addRollout(db.app, 'first', '2.0.0', { stages: [], failure_threshold: 1 });
  const sent = await service.tick();
  await service.fail(...BROKEN);
  await service.succeed(...sent.filter((device) => !BROKEN.includes(device)));
  await service.tick();
  service.later(10);
  await service.tick();
});

test('boards that failed before get the release last within a wave, also when they report first', async () => {
  await addRollout(db.app, 'second', '3.0.0');
  const before = service.sent.length;
  const order = () => service.sent.slice(before).map(({ deviceId }) => deviceId);
  let done = 0;
  for (let rounds = 0; rounds < 12 && done < DEVICES; rounds++) {
    await service.statuses(
      // Those that failed before report first; devices out of reach would go after all others.
      ALL.filter((device) => !order().includes(device)),
      '1.0.0',
      900,
    );
    await service.tick();
    const next = order().slice(done);
    done += next.length;
    await service.succeed(...next);
  }
  // The first five go one by one. The wave after them has room for the last of the others and one of these boards.
  expect(
    order()
      .slice(0, 5)
      .filter((device) => BROKEN.includes(device)),
  ).toEqual([]);
  expect(order().slice(0, 7)).toEqual(expect.arrayContaining(ALL.filter((device) => !BROKEN.includes(device))));
  expect(order()).toHaveLength(DEVICES);
});

test('a preview counts the boards that failed before, for a draft and for a saved rollout', async () => {
  const draft = await previewRollout(db.app, newRollout({ firmware_version: '3.0.0' }), NO_RULES);
  expect(draft).toMatchObject({ willBeUpdated: DEVICES, setApart: BROKEN.length });
  await addRollout(db.app, 'second', '3.0.0', { stages: [], is_active: false });
  const saved = await loadRolloutRuntime(db.app, 2);
  if (saved === undefined) throw new Error('there is no rollout 2');
  const preview = await previewRollout(db.app, { ...saved, isSaved: true }, NO_RULES);
  expect(preview).toMatchObject({ willBeUpdated: DEVICES, setApart: BROKEN.length });
});
