import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { findRefusals, listRefusedClients, recordRefusals } from '../../../core/devices/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const minutesAgo = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000);
const refusal = (minutes: number, clientId = 'van-1') => ({
  clientId,
  reason: 'AUTH_ERROR' as const,
  at: minutesAgo(minutes),
});

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(() => db.empty());

const listed = async () => (await listRefusedClients(db.app, NOW)).map(({ client_id: id }) => id);

test('refusals of a client that follow each other are one row', async () => {
  await recordRefusals(db.app, [refusal(9), refusal(8), refusal(9, 'van-2')]);
  await recordRefusals(db.app, [refusal(7)]);
  expect(await findRefusals(db.app, 'van-1', NOW)).toEqual({
    times: 3,
    first_at: minutesAgo(9),
    last_at: minutesAgo(7),
  });
  expect(await findRefusals(db.app, 'van-2', NOW)).toMatchObject({ times: 1 });
});

test('an event that is delivered twice counts once', async () => {
  const batch = [refusal(9), refusal(9), refusal(8)];
  await recordRefusals(db.app, batch);
  await recordRefusals(db.app, batch);
  expect(await findRefusals(db.app, 'van-1', NOW)).toMatchObject({ times: 2 });
});

test('a refusal two hours after the last one begins a new series', async () => {
  await recordRefusals(db.app, [refusal(300), refusal(299)]);
  await recordRefusals(db.app, [refusal(10)]);
  expect(await findRefusals(db.app, 'van-1', NOW)).toMatchObject({ times: 1, first_at: minutesAgo(10) });
});

test('a device is listed after three refusals, registered or not, for a day', async () => {
  await db.app.query(`INSERT INTO devices (device_id) VALUES ('van-1')`);
  await recordRefusals(db.app, [refusal(9), refusal(8)]);
  expect(await listed()).toEqual([]);
  await recordRefusals(db.app, [refusal(7), refusal(6, 'new'), refusal(5, 'new'), refusal(4, 'new')]);
  expect(await listRefusedClients(db.app, NOW)).toMatchObject([
    { client_id: 'new', is_registered: false },
    { client_id: 'van-1', is_registered: true },
  ]);
  expect(await listRefusedClients(db.app, minutesAgo(-1_440))).toEqual([]);
});

test('a device that was heard ten minutes after its last refusal, or was revoked, is not listed', async () => {
  await recordRefusals(
    db.app,
    ['works', 'heard-between', 'revoked'].flatMap((id) => [60, 59, 58].map((n) => refusal(n, id))),
  );
  await db.app.query(
    `INSERT INTO devices (device_id, last_seen, revoked_at) VALUES ('works', :works::timestamptz, NULL),
       ('heard-between', :between::timestamptz, NULL), ('revoked', NULL, :between::timestamptz)`,
    { works: minutesAgo(40), between: minutesAgo(57) },
  );
  expect(await listed()).toEqual(['heard-between']);
});

test('at most a thousand clients are stored, those that were refused last', async () => {
  await recordRefusals(
    db.app,
    Array.from({ length: 900 }, (_, n) => refusal(100, `old-${n}`)),
  );
  await recordRefusals(
    db.app,
    Array.from({ length: 200 }, (_, n) => refusal(50, `new-${n}`)),
  );
  expect(
    await db.app.query(
      `SELECT count(*)::integer AS clients, count(*) FILTER (WHERE client_id LIKE 'new-%')::integer AS newer FROM refused_clients`,
    ),
  ).toEqual([{ clients: 1_000, newer: 200 }]);
});
