import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { previewRollout } from '../../core/explaining.ts';
import { abortRollout, haltRollout, resumeRollout } from '../../core/rollout-control.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDevices, addRelease, addRollout } from '../support/rows.ts';
import { TestService } from '../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  await addRelease(db.app, '3.0.0');
  service = new TestService(db.app);
});

const AT_ONCE = { stages: [] };
const why = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const draft = {
  firmware_version: '3.0.0',
  device_model: 'esp32-s3',
  target_type: 'all' as const,
  target_filter: {},
  rollout_percentage: 100,
  allow_downgrade: false,
  include_unknown: false,
  weight: 0,
};

/** Ticks until nothing is sent any more; what is sent succeeds. */
async function playOut(): Promise<void> {
  for (let looks = 0; looks < 8; looks++) await service.succeed(...(await service.tick()));
}
const sent = () => service.sent.map(({ deviceId, version }) => `${deviceId} ${version}`);

describe('a heavier rollout', () => {
  test('that is over bars no later one from its devices', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'heavy', '2.0.0', { ...AT_ONCE, weight: 10 });
    await playOut();
    expect(await previewRollout(db.app, draft, () => undefined)).toMatchObject({ willBeUpdated: 2, willNot: [] });
    await addRollout(db.app, 'later', '3.0.0', AT_ONCE);
    await playOut();
    expect(sent()).toEqual(['d0 2.0.0', 'd1 2.0.0', 'd0 3.0.0', 'd1 3.0.0']);
  });

  test('that runs bars others from the devices that it has served', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'heavy', '2.0.0', { ...AT_ONCE, weight: 10, keep_open: true });
    await playOut();
    expect(await previewRollout(db.app, draft, () => undefined)).toMatchObject({
      willBeUpdated: 0,
      willNot: [{ reason: 'held by rollout "heavy", which goes before this one', devices: 1 }],
    });
    await addRollout(db.app, 'later', '3.0.0', AT_ONCE);
    await playOut();
    expect(sent()).toEqual(['d0 2.0.0']);
  });
});

describe('what a newer rollout took over', () => {
  beforeEach(async () => {
    await addDevices(db.app, 2);
    service.absent.add('d0');
    service.absent.add('d1');
    await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
    await service.tick();
    await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
    await service.tick();
  });

  test('falls back to the older one when the newer is stopped before it sends', async () => {
    await abortRollout(db.app, why(2), service.now);
    await service.tick();
    service.absent.clear();
    await service.status('d0', '1.0.0');
    await service.status('d1', '1.0.0');
    expect(sent()).toEqual(['d0 2.0.0', 'd1 2.0.0']);
  });

  test('is taken over again when the newer goes on', async () => {
    await haltRollout(db.app, why(2), service.now);
    await service.tick();
    await service.tick();
    await resumeRollout(db.app, why(2), service.now);
    await service.tick();
    service.absent.clear();
    await service.status('d0', '1.0.0');
    expect(sent()).toEqual(['d0 3.0.0']);
  });
});

test('a device on which an aborted newer rollout failed is served by the older one', async () => {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'older', '2.0.0', AT_ONCE);
  const newer = await addRollout(db.app, 'newer', '3.0.0', AT_ONCE);
  await service.tick();
  await service.result('d0', 4);
  await service.tick();
  expect(sent()).toEqual(['d0 3.0.0']);
  await abortRollout(db.app, why(newer), service.now);
  await service.tick();
  expect(sent()).toEqual(['d0 3.0.0', 'd0 2.0.0']);
});
