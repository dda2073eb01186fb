import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice, NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import type { FactValue } from '../../../core/protocol/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { newRollout } from '../../support/preview.ts';
import { addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
});

type Facts = Readonly<Record<string, FactValue>>;

const setImage = (image: object, { version = '2.0.0', bytes = 1_310_720 } = {}) =>
  db.app.query('UPDATE firmware_releases SET image = :image::jsonb, file_size = :bytes WHERE version = :version', {
    image,
    bytes,
    version,
  });

const ESP32_V3 = { minChipRevision: 300, maxChipRevision: 399, flashBytes: 8_388_608 };

const BARRED: readonly (readonly [name: string, facts: Facts, rule: string, next: string])[] = [
  [
    'a slot that is smaller than the image',
    { slot_bytes: 1_048_576 },
    'the image has 1,310,720 bytes, the device reports a slot of 1,048,576',
    'nothing, unless it reports a larger slot or the rollout sends a smaller image',
  ],
  [
    'an older chip than the image needs',
    { chip_revision: 101 },
    'the image needs chip revision v3.0 or later, the device reports v1.1',
    'nothing: this image does not boot on it',
  ],
  [
    'the first revision of a chip',
    { chip_revision: 0 },
    'the image needs chip revision v3.0 or later, the device reports v0.0',
    'nothing: this image does not boot on it',
  ],
  [
    'a newer chip than the image is for',
    { chip_revision: 400 },
    'the image is for chip revisions up to v3.99, the device reports v4.0',
    'nothing: this image does not boot on it',
  ],
  [
    'a smaller flash than the image is built for',
    { flash_bytes: 4_194_304 },
    'the image is built for 8,388,608 bytes of flash, the device reports 4,194,304',
    'nothing, unless the rollout sends an image that is built for this flash',
  ],
];

describe.each(BARRED)('a device that states %s', (_, facts, rule, next) => {
  test('is not assigned, and the preview and the explanation say both numbers', async () => {
    await setImage(ESP32_V3);
    await service.status('d0', '1.0.0', 5, facts);
    await service.status('d1', '1.0.0', 5, { psram_bytes: 0 });
    const draft = await previewRollout(db.app, newRollout(), NO_RULES);
    expect(draft).toMatchObject({ matching: 2, willBeUpdated: 1, willNot: [{ devices: 1 }] });
    expect(draft.willNot[0]?.reason).toBe(rule.replace('the device reports', 'they report'));
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    expect(await service.tick()).toEqual(['d1']);
    expect(await explainDevice(db.app, id, 'd0', service.now)).toMatchObject({ rule, next });
  });

  test('is updated as soon as it states something else', async () => {
    await setImage(ESP32_V3);
    await service.status('d0', '1.0.0', 5, facts);
    await addRollout(db.app, 'r', '2.0.0', { stages: [], keep_open: true });
    expect(await service.tick()).toEqual([]);
    service.later(1);
    await service.status('d0', '1.0.0', 65, { slot_bytes: 1_310_720, chip_revision: 301, flash_bytes: 8_388_608 });
    expect(await service.tick()).toEqual(['d0']);
  });
});

test.each<[string, Facts, object]>([
  ['nothing', {}, ESP32_V3],
  ['a slot of exactly the image', { slot_bytes: 1_310_720 }, {}],
  ['the bounds of the revisions', { chip_revision: 300 }, ESP32_V3],
  ['the highest revision', { chip_revision: 399 }, ESP32_V3],
  // ESP-IDF 4 states the major revision alone.
  ['a revision that may be the major one alone', { chip_revision: 3 }, ESP32_V3],
  ['a revision, of an image without a limit', { chip_revision: 1 }, { minChipRevision: 0, maxChipRevision: 65_535 }],
  ['a revision, of an image whose highest one is not set', { chip_revision: 1 }, { maxChipRevision: 0 }],
  ['a chip and a flash, of an image that was not parsed', { chip_revision: 0, flash_bytes: 262_144 }, {}],
  [
    'a chip and a flash, of an image that states none',
    { chip_revision: 0, flash_bytes: 262_144 },
    { minChipRevision: null, flashBytes: null },
  ],
  ['no PSRAM, of which no header says anything', { psram_bytes: 0 }, ESP32_V3],
])('a device that states %s is updated', async (_, facts, image) => {
  await setImage(image);
  await service.status('d0', '1.0.0', 5, facts);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  expect(await service.tick()).toEqual(['d0']);
});

test('a small revision is compared with a small limit', async () => {
  await setImage({ minChipRevision: 3 });
  await service.status('d0', '1.0.0', 5, { chip_revision: 2 });
  const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  expect(await service.tick()).toEqual([]);
  expect((await explainDevice(db.app, id, 'd0', service.now))?.rule).toBe(
    'the image needs chip revision v0.3 or later, the device reports v0.2',
  );
});

test('a fact of another type, which only SQL can store, bars nothing and breaks nothing', async () => {
  await setImage(ESP32_V3);
  await service.status('d0', '1.0.0');
  await db.app.query(`UPDATE devices SET facts = '{"slot_bytes": "1e999", "chip_revision": [], "flash_bytes": {}}'`);
  await previewRollout(db.app, newRollout(), NO_RULES);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  expect(await service.tick()).toEqual(['d0']);
});

test('the preview sums up the devices of one bar, with the range of what they state', async () => {
  await setImage({});
  for (const [n, slot] of [1_048_576, 983_040, 1_000_000].entries()) {
    await service.status(`d${n}`, '1.0.0', 5, { slot_bytes: slot });
  }
  expect((await previewRollout(db.app, newRollout(), NO_RULES)).willNot).toEqual([
    { reason: 'the image has 1,310,720 bytes, they report slots of 983,040 to 1,048,576', devices: 3 },
  ]);
});

test('a device that cannot hold the release still gets its stepping stone, and then stays there', async () => {
  await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
  await setImage({}, { bytes: 1_000_000 });
  await setImage({}, { version: '3.0.0', bytes: 1_310_720 });
  await service.status('d0', '1.0.0', 5, { slot_bytes: 1_048_576 });
  const id = await addRollout(db.app, 'r', '3.0.0', { stages: [], stepping_stones: ['2.0.0'] });
  await service.succeed(...(await service.tick()));
  await service.tick();
  expect(service.sent.map(({ version }) => version)).toEqual(['2.0.0']);
  expect((await explainDevice(db.app, id, 'd0', service.now))?.rule).toBe(
    'the image has 1,310,720 bytes, the device reports a slot of 1,048,576',
  );
});

test('a pending update is not sent to a device that has come to report a smaller slot', async () => {
  await setImage({});
  await service.status('d0', '1.0.0', 5, { slot_bytes: 1_310_720 });
  service.absent.add('d0');
  const id = await addRollout(db.app, 'r', '2.0.0', { stages: [], keep_open: true });
  await service.tick();
  service.absent.clear();
  service.later(61);
  await service.status('d0', '1.0.0', 65, { slot_bytes: 1_048_576 });
  expect(service.sent).toEqual([]);
  expect((await explainDevice(db.app, id, 'd0', service.now))?.rule).toBe(
    'the image has 1,310,720 bytes, the device reports a slot of 1,048,576',
  );
});

test('a stage waits for no outcome of the devices that its image does not fit', async () => {
  await setImage({});
  for (let n = 0; n < 5; n++) await service.status(`d${n}`, '1.0.0', 5, n < 3 ? { slot_bytes: 1_048_576 } : {});
  const began = service.now.getTime();
  await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 4, min_reports: 4 }], probation_minutes: 0 });
  for (let n = 0; n < 4; n++) {
    await service.succeed(...(await service.tick()));
    service.later(1);
  }
  expect(service.sent.map(({ deviceId }) => deviceId).sort()).toEqual(['d3', 'd4']);
  expect(service.now.getTime() - began).toBeLessThan(3_600_000);
  expect(await db.app.query('SELECT completed_at IS NOT NULL AS completed FROM rollout_configurations')).toEqual([
    { completed: true },
  ]);
});

test('a rollout whose stages have only barred devices goes on with others, as with devices that are busy', async () => {
  await setImage({});
  for (let n = 0; n < 4; n++) await service.status(`d${n}`, '1.0.0', 5, n < 3 ? { slot_bytes: 1_048_576 } : {});
  await addRollout(db.app, 'r', '2.0.0', { stages: [{ count: 1 }, { count: 2 }], probation_minutes: 0 });
  for (let n = 0; n < 12; n++) {
    await service.succeed(...(await service.tick()));
    service.later(25 * 60);
  }
  expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d3']);
  expect(await db.app.query('SELECT completed_at IS NOT NULL AS completed FROM rollout_configurations')).toEqual([
    { completed: true },
  ]);
});

test('a rollout of higher priority does not take a pending update from one whose image fits', async () => {
  await addRelease(db.app, '1.5.0');
  await setImage({});
  await service.status('d0', '1.0.0', 5, { slot_bytes: 1_048_576 });
  service.absent.add('d0');
  await addRollout(db.app, 'small', '1.5.0', { stages: [], keep_open: true });
  await service.tick();
  await addRollout(db.app, 'large', '2.0.0', { stages: [], priority: 5 });
  await service.tick();
  service.absent.clear();
  service.later(1);
  await service.status('d0', '1.0.0', 65);
  expect(service.sent.map(({ version }) => version)).toEqual(['1.5.0']);
});
