import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { loadPendingUpdates } from '../../../core/updates/index.ts';
import { learnFamilies } from '../../../lambdas/dispatch/learn-families.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

const EDGE = ['paku/edge/d0/cmd/ota'];
const BOTH = [...EDGE, 'paku/devices/d0/cmd/ota'];

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
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  service.absent.add('d0');
  await service.tick();
});

/** Asks for the families of all pending updates. @returns the clients that were asked, and the families that are known */
async function learn(filters: readonly string[] | undefined) {
  const asked: string[] = [];
  const ids = (await db.app.query<{ id: number }>('SELECT id FROM device_update_status')).map(({ id }) => id);
  const list = async (clientId: string) => {
    asked.push(clientId);
    return filters;
  };
  const updates = await loadPendingUpdates(db.app, ids, service.now);
  const learned = await learnFamilies(db.app, updates, 'paku', list, service.now);
  return { asked, families: learned.map(({ command_family: family }) => family) };
}

test('asks once before the first command, and once after the version changed', async () => {
  expect(await learn(EDGE)).toEqual({ asked: ['d0'], families: ['edge'] });
  expect(await learn(BOTH)).toEqual({ asked: [], families: ['edge'] });
  await db.app.query(`UPDATE devices SET current_firmware_version = '1.0.1'`);
  expect(await learn(BOTH)).toEqual({ asked: ['d0'], families: ['edge'] });
  expect(await learn(EDGE)).toEqual({ asked: [], families: ['edge'] });
});

test.each([
  ['a client that is not connected', undefined],
  ['a client that has not subscribed to a command topic yet', ['paku/edge/d0/control']],
])('changes nothing for %s, and asks again', async (_, filters) => {
  expect(await learn(filters)).toEqual({ asked: ['d0'], families: [null] });
  expect(await learn(EDGE)).toEqual({ asked: ['d0'], families: ['edge'] });
});
