import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { explainDevice, NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { NO_SIGNATURE_REQUIRED } from '../../../core/release-policy/index.ts';
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

beforeEach(async () => {
  await db.empty();
  service = new TestService(db.app, db.roles);
  for (const version of ['1.0.0', '1.5.0', '2.0.0']) await addRelease(db.app, version);
  await db.app.query(
    `UPDATE firmware_releases SET image = '{"descriptor": {"secureVersion": 2}}' WHERE version = '2.0.0'`,
  );
  await addDevices(db.app, 2, { prefix: 'old-', version: '1.5.0' });
  await addDevices(db.app, 3, { prefix: 'new-', version: '2.0.0' });
});

const DOWNGRADE = { allow_downgrade: true, stages: [] };

test('a device is not sent a release whose anti-rollback counter is lower than that of its own', async () => {
  const id = await addRollout(db.app, 'back', '1.0.0', DOWNGRADE);
  expect([...(await service.tick())].sort()).toEqual(['old-0', 'old-1']);
  expect(await explainDevice(db.app, id, 'new-0', service.now)).toMatchObject({
    rule: 'is on 2.0.0, whose anti-rollback counter is higher than that of 1.0.0: its bootloader would refuse it',
    next: expect.stringContaining('allowLowerSecureVersion'),
  });
});

test('the preview counts such devices with the reason', async () => {
  const draft = newRollout({ ...DOWNGRADE, firmware_version: '1.0.0' });
  expect(await previewRollout(db.app, draft, NO_RULES)).toMatchObject({
    willBeUpdated: 2,
    willNot: [{ devices: 3, reason: expect.stringContaining('higher anti-rollback counter than 1.0.0') }],
  });
});

test('where the settings say that devices boot lower counters, they are sent it', async () => {
  service.trust = { ...NO_SIGNATURE_REQUIRED, bootsLowerCounter: () => true };
  await addRollout(db.app, 'back', '1.0.0', DOWNGRADE);
  expect(await service.tick()).toHaveLength(5);
});
