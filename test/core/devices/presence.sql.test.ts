import { afterAll, beforeAll, expect, test } from 'vitest';
import { countSeen, listDevices } from '../../../core/devices/index.ts';
import { patienceSeconds, type RecordingPause } from '../../../core/protocol/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';

const NOW = new Date('2026-03-02T12:00:00Z');
const AGES = [0, 119, 120, 300, 2_700, 3_599, 3_600, 7_200, 172_799, 172_800];
const HABITS = [null, 0, 30, 39, 41, 900, 57_600, 2_592_000];
const secondsAgo = (seconds: number) => new Date(NOW.getTime() - seconds * 1000);

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
  const rows = AGES.flatMap((age) =>
    HABITS.flatMap((habit) =>
      [true, false].flatMap((online) =>
        // The newest report about an update.
        [null, 5, 4_000].map((report) => ({
          id: `a${age}-h${habit}-${online}-${report}`,
          ...{ seen: secondsAgo(age), habit, online, reported: report === null ? null : secondsAgo(report) },
        })),
      ),
    ),
  );
  await db.app.query(
    `INSERT INTO devices (device_id, online, last_seen, report_interval_seconds, reachability_received_at, family_received_at)
     SELECT id, online, seen, habit, seen, reported FROM jsonb_to_recordset(:rows::jsonb)
       AS r(id text, online boolean, seen timestamptz, habit real, reported timestamptz)`,
    { rows },
  );
  await db.app.query(`INSERT INTO devices (device_id) VALUES ('never-heard')`);
});
afterAll(() => db?.close());

const PAUSES: [string, RecordingPause | null][] = [
  ['while statuses are recorded', null],
  ['in idle mode', { from: secondsAgo(2_690), to: secondsAgo(-900) }],
  ['just after idle mode', { from: secondsAgo(2_690), to: secondsAgo(60) }],
  ['after the pause of a sweep', { from: secondsAgo(3_500), to: secondsAgo(110) }],
];

test.each(PAUSES)(
  '%s, the filter and the count find exactly the devices that are shown as online',
  async (_, pause) => {
    const at = { now: NOW, pause };
    const all = await listDevices(db.app, {}, null, 1_000, at);
    const shown = all.filter(({ presence }) => presence.state === 'online').map(({ device_id: id }) => id);
    const ids = async (online: boolean) =>
      (await listDevices(db.app, { online }, null, 1_000, at)).map(({ device_id: id }) => id);
    expect(await ids(true)).toEqual(shown);
    expect((await ids(false)).length).toBe(all.length - shown.length);
    expect((await countSeen(db.app, at)).online).toBe(shown.length);
    expect(shown.length).toBeGreaterThan(10);
    expect(shown).toContain('a172800-h30-true-5');
  },
);

test('the schema and the policy have the same patience', async () => {
  const rows = await db.app.query<{ habit: number | null; seconds: number }>(
    `SELECT DISTINCT report_interval_seconds AS habit,
       extract(epoch FROM presumed_offline_at(last_seen, report_interval_seconds) - last_seen)::integer AS seconds
     FROM devices WHERE last_seen IS NOT NULL`,
  );
  expect(rows.length).toBe(HABITS.length);
  for (const { habit, seconds } of rows) expect(seconds, `habit ${habit}`).toBe(patienceSeconds(habit));
});
