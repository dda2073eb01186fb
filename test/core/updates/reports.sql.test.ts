import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DeviceReport, mergeReports, upsertDevices } from '../../../core/devices/index.ts';
import { reserveSends } from '../../../core/updates/dispatch-updates.ts';
import { evaluateUpdates } from '../../../core/updates/evaluate-updates.ts';
import { expireUpdates } from '../../../core/updates/expire-updates.ts';
import { type Report, recordReports } from '../../../core/updates/reports.ts';
import { sha256 } from '../../../core/util/index.ts';
import { recordOpened } from '../../../lambdas/download/open-link.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(() => db.empty());

const sentAt = new Date('2026-03-01T12:00:00Z');
const at = (seconds: number) => new Date(sentAt.getTime() + seconds * 1000);

/** A device `d0` on 1.0.0 that was sent 2.0.0 at 12:00:00, its only attempt. */
async function sendUpdate(): Promise<void> {
  await addDevices(db.app, 1);
  await addRelease(db.app, '2.0.0');
  const rollout = await addRollout(db.app, 'r', '2.0.0', { max_attempts: 1 });
  await db.app.query(`INSERT INTO rollout_runtime (rollout_id, start_limit) VALUES (:rollout, NULL)`, { rollout });
  await db.app.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, previous_version)
     VALUES ('d0', :rollout, 1, '2.0.0', '1.0.0')`,
    { rollout },
  );
  await reserveSends(db.app, rollout, [{ id: 1, family: 'devices', delivery: 'redirect' }], sentAt);
}

const say = (seconds: number, type: Report['type'], payload: object, extra: Partial<Report> = {}): Report => ({
  deviceId: 'd0',
  type,
  receivedAt: at(seconds),
  payloadHash: sha256(JSON.stringify(payload)),
  payload,
  version: null,
  state: null,
  ...extra,
});
const accepted = say(1, 'accepted', { status: 'accepted' }, { version: '2.0.0' });
const half = say(5, 'progress', { percent: 50 }, { state: 'downloading' });
const installing = say(9, 'progress', { percent: 100 }, { state: 'installing' });
const success = say(10, 'result', { success: true, resultCode: 0, message: 'Success' }, { version: '2.0.0' });
const failure = say(11, 'result', { success: false, resultCode: 2, message: 'Download failed' }, { version: '2.0.0' });
const running = say(40, 'status', { version: '2.0.0', uptimeSeconds: 5 }, { version: '2.0.0' });
const wentBack = say(50, 'status', { version: '1.0.0', uptimeSeconds: 5 }, { version: '1.0.0' });

async function deliver(reports: readonly Report[], now = at(60)): Promise<void> {
  await evaluateUpdates(db.app, await recordReports(db.app, reports), now);
}

const updateOf = async (device = 'd0') => {
  const [row] = await db.app.query(
    `SELECT status, progress_percent, result_code, error_message, acknowledged_at, installed_at, booted_at, completed_at,
       deadline_at FROM device_update_status WHERE device_id = :device ORDER BY id DESC LIMIT 1`,
    { device },
  );
  return row;
};

describe('the messages of an attempt', () => {
  const stories: [string, Report[], object][] = [
    [
      'an update that runs',
      [accepted, half, installing, success, running],
      { status: 'success', booted_at: at(40), progress_percent: 100 },
    ],
    ['an update that boots back', [accepted, success, wentBack], { status: 'rolled_back', completed_at: at(50) }],
    [
      'one that runs and then boots back',
      [accepted, success, running, wentBack],
      { status: 'rolled_back', booted_at: at(40) },
    ],
    ['a failed download', [accepted, half, failure], { status: 'failed', result_code: 2 }],
    ['two results, of which the earlier counts', [accepted, success, failure, running], { status: 'success' }],
  ];
  test.each(stories)('%s', async (_, reports, expected) => {
    await sendUpdate();
    await deliver(reports);
    expect(await updateOf()).toMatchObject(expected);
  });

  // A device sends one result. If it sent two, the one evaluated first would be final.
  test.each(stories.slice(0, 4))(
    '%s: any order, any batches and any repetition give the same verdict',
    async (_, reports) => {
      await sendUpdate();
      await deliver(reports);
      const clean = await updateOf();
      await fc.assert(
        fc.asyncProperty(
          fc.shuffledSubarray([...reports, ...reports], { minLength: reports.length * 2 }),
          fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 10, maxLength: 10 }),
          async (deliveries, sizes) => {
            await db.owner.query('TRUNCATE ota_events');
            await db.owner.query(
              `UPDATE device_update_status SET status = 'sent', completed_at = NULL, evaluated_events = 0, booted_at = NULL`,
            );
            let rest = deliveries;
            for (const size of sizes) {
              // Evaluated before any deadline, so that the comparison does not depend on the clock.
              await deliver(rest.slice(0, size), at(60));
              rest = rest.slice(size);
            }
            await deliver(rest, at(60));
            expect(await updateOf()).toEqual(clean);
          },
        ),
        { numRuns: 12 },
      );
    },
  );

  test('a message that names another version belongs to no attempt', async () => {
    await sendUpdate();
    await deliver([{ ...success, version: '9.9.9' }]);
    const rows = await db.app.query(
      `SELECT firmware_version, status, rollout_id FROM device_update_status ORDER BY id`,
    );
    expect(rows).toEqual([
      { firmware_version: '2.0.0', status: 'sent', rollout_id: 1 },
      { firmware_version: '9.9.9', status: 'success', rollout_id: null },
    ]);
  });

  test('messages of different updates in one batch do not affect each other', async () => {
    await sendUpdate();
    const other = say(3, 'result', { success: true, resultCode: 0 }, { version: '9.9.9' });
    await deliver([accepted, other]);
    const rows = await db.app.query('SELECT firmware_version, sent_at FROM device_update_status ORDER BY id');
    expect(rows).toEqual([
      { firmware_version: '2.0.0', sent_at: at(0) },
      { firmware_version: '9.9.9', sent_at: at(3) },
    ]);
    expect(await db.app.query('SELECT event_type, update_id FROM ota_events ORDER BY received_at')).toEqual([
      { event_type: 'accepted', update_id: 1 },
      { event_type: 'result', update_id: 2 },
    ]);
  });

  test('a link belongs to the update that it names, whatever the device has started since', async () => {
    await sendUpdate();
    await deliver([say(3, 'result', { success: true, resultCode: 0 }, { version: '9.9.9' })]);
    await recordOpened(db.app, [{ deviceId: 'd0', updateId: 1, attempt: 1 }], at(5));
    const [update] = await db.app.query('SELECT status FROM device_update_status WHERE id = 1');
    expect(update).toEqual({ status: 'downloading' });
  });

  test('a message from before the command does not belong to it', async () => {
    await sendUpdate();
    await deliver([{ ...half, receivedAt: at(-30) }]);
    expect(await updateOf()).toMatchObject({ status: 'sent' });
  });

  test('unsolicited progress opens no update', async () => {
    await addDevices(db.app, 1);
    await deliver([half]);
    expect(await updateOf()).toBeUndefined();
  });
});

describe('silence', () => {
  test.each([
    ['a command without a response', [], 15, 'no answer to the command within 15 min'],
    ['a download that stops', [accepted, half], 15, 'went silent while downloading'],
    // Five reports of a device whose usual interval is not known.
    ['an image that never reports', [accepted, success], 300, 'installed, but 2.0.0 was not reported within 300 min'],
  ])('%s times out with a reason', async (_, reports, minutes, reason) => {
    await sendUpdate();
    await deliver(reports);
    expect(await expireUpdates(db.app, at((minutes - 1) * 60))).toBe(0);
    expect(await expireUpdates(db.app, at((minutes + 2) * 60))).toBe(1);
    expect(await updateOf()).toMatchObject({ status: 'timed_out', error_message: reason });
  });

  test('a booted update is proven by a status after its probation, and not by its end', async () => {
    await sendUpdate();
    await deliver([accepted, success, running]);
    await expireUpdates(db.app, at(400));
    expect(await updateOf()).toMatchObject({ status: 'success', completed_at: null });
    await deliver([say(400, 'status', { version: '2.0.0', uptimeSeconds: 360 }, { version: '2.0.0' })]);
    expect(await updateOf()).toMatchObject({ status: 'success', completed_at: at(400) });
  });
});

describe('statuses', () => {
  const status = (seconds: number, said: Partial<DeviceReport>): DeviceReport => ({
    deviceId: 'd0',
    clientId: 'd0',
    macAddress: null,
    macReceivedAt: said.macAddress ? at(seconds) : null,
    model: null,
    modelReceivedAt: null,
    version: null,
    versionReceivedAt: said.version ? at(seconds) : null,
    online: true,
    reachabilityReceivedAt: at(seconds),
    lastSeen: said.online === false ? null : at(seconds),
    uptimeSeconds: seconds,
    signalStrengthDbm: null,
    status: { n: seconds },
    ...said,
  });
  const history = [
    status(1, { version: '1.0.0', macAddress: 'AA:BB:CC:DD:EE:01' }),
    status(2, {}),
    status(3, { version: '1.1.0' }),
    status(4, { macAddress: 'AA:BB:CC:DD:EE:02' }),
    status(5, { online: false, status: null, uptimeSeconds: null }),
  ];

  test('the newest value of each field counts, in any order and any batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...history, ...history], { minLength: 10 }),
        fc.integer({ min: 1, max: 9 }),
        async (deliveries, cut) => {
          await db.owner.query('TRUNCATE devices CASCADE');
          for (const batch of [deliveries.slice(0, cut), deliveries.slice(cut)]) {
            await upsertDevices(db.app, [batch.reduce(mergeReports)]);
          }
          const [device] = await db.app.query(
            `SELECT current_firmware_version, coalesce(reported_mac, mac_address) AS mac_address, online, last_seen, uptime_seconds,
               last_status FROM devices`,
          );
          expect(device).toEqual({
            current_firmware_version: '1.1.0',
            mac_address: 'AA:BB:CC:DD:EE:02',
            online: false,
            last_seen: at(4),
            uptime_seconds: 4,
            last_status: { n: 4 },
          });
        },
      ),
      { numRuns: 20 },
    );
  });
});
