import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { retryFailed } from '../../../core/rollouts/index.ts';
import { readSnapshot, renderSnapshot } from '../../../local/start/fleet-view.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
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
  await addDevices(db.app, 2);
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
});

const shown = async () => renderSnapshot(await readSnapshot(db.app)).map((line) => stripColours(line).trim());
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken away
const stripColours = (text: string) => text.replaceAll(/\u001b\[\d+m/g, '');

test('a device with several attempts is listed once', async () => {
  const id = await addRollout(db.app, 'r', '2.0.0', { stages: [], max_attempts: 1, failure_threshold: 1 });
  await service.tick();
  await service.fail('d0');
  await service.succeed('d1');
  await service.tick();
  await retryFailed(db.app, { rolloutId: id, reason: 'fixed', by: 'ada' }, ['1.0.0'], service.now);
  await service.tick();
  expect(await shown()).toContain('r: ████████░░░░░░░░ 2 assigned: 1 updated to 2.0.0  active');
});

test('a rollout of an older version than the devices run says that it updates nobody', async () => {
  await addRelease(db.app, '0.5.0');
  await addRollout(db.app, 'r', '0.5.0', { stages: [] });
  for (let ticks = 0; ticks < 2; ticks++) {
    await service.tick();
    service.later(6);
  }
  expect((await shown()).find((line) => line.startsWith('r: '))).toMatch(/^r: nobody to update/);
});

test('an unfinished rollout is shown, however many newer ones are finished', async () => {
  await addRollout(db.app, 'first', '2.0.0', { stages: [] });
  for (let i = 0; i < 6; i++) {
    await addRollout(db.app, `late ${i}`, '2.0.0', { stages: [] });
    await db.app.query("UPDATE rollout_configurations SET completed_at = now() WHERE name LIKE 'late%'");
  }
  expect((await shown()).join('\n')).toContain('first: ');
});

test('text of devices and uploads cannot command the terminal', async () => {
  const hostile = '2.0.0\u001b]0;x\u0007\u009b2J';
  await db.app.query('UPDATE devices SET current_firmware_version = :hostile, device_model = :hostile', { hostile });
  await db.app.query(
    `INSERT INTO rejected_uploads (object_key, object_version, file_size, verdict, message, uploaded_at)
     VALUES ('firmware/x.bin', 'v', 1, 'not_an_image', :hostile, now())`,
    { hostile },
  );
  const text = (await shown()).join('');
  expect(text).toContain('2.0.0');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
});
