import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { describeFloods, limitFloods, limitReports, MOST_A_MINUTE } from '../../../core/ingest/rate-limit.ts';
import { recordRejectedMessages } from '../../../core/ingest/rejected-messages.ts';
import type { RejectedMessage } from '../../../core/ingest/rule-message.ts';
import { sha256 } from '../../../core/util/index.ts';
import { storeReports } from '../../../lambdas/ingest-ota/store-reports.ts';
import { storeStatuses } from '../../../lambdas/ingest-status/store-statuses.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(() => db.empty());

const noon = new Date('2026-03-02T12:00:00Z');
const at = (ms: number) => new Date(noon.getTime() + ms);

const progress = (deviceId: string, ms: number) => ({
  payloadHash: sha256(`${deviceId} ${ms}`),
  topic: `paku/devices/${deviceId}/ota/progress`,
  clientId: deviceId,
  receivedAt: at(ms),
  family: 'devices' as const,
  report: {
    deviceId,
    type: 'progress' as const,
    receivedAt: at(ms),
    payloadHash: sha256(`${deviceId} ${ms}`),
    payload: { percent: 1 },
    version: null,
    state: 'downloading' as const,
  },
});

/** As the function does with a batch. */
async function ingest(messages: readonly ReturnType<typeof progress>[]): Promise<void> {
  const { taken, dropped } = await limitReports(db.app, messages);
  await storeReports(db.app, taken, noon);
  await recordRejectedMessages(db.app, describeFloods(dropped, MOST_A_MINUTE.reports));
}

const countRows = async (table: string) => {
  const [row] = await db.app.query<{ rows: number }>(`SELECT count(*)::integer AS rows FROM ${table}`);
  return row?.rows;
};

describe('a device that floods', () => {
  test('a topic of reports is taken so many of a minute, over all batches, and told of in one row', async () => {
    await addDevices(db.app, 2);
    for (let batch = 0; batch < 6; batch++) {
      const flood = Array.from({ length: 100 }, (_, n) => progress('d0', batch * 1000 + n * 10));
      await ingest([...flood, progress('d1', batch * 1000)]);
    }
    expect(
      await db.app.query(`SELECT device_id, count(*)::integer AS events FROM ota_events GROUP BY 1 ORDER BY 1`),
    ).toEqual([
      { device_id: 'd0', events: MOST_A_MINUTE.reports },
      { device_id: 'd1', events: 6 },
    ]);
    expect(await db.app.query('SELECT topic, reason, received_at FROM rejected_messages')).toEqual([
      {
        topic: 'paku/devices/d0/ota/progress',
        reason: 'flood: more than 300 messages on this topic within a minute; those above were not kept',
        received_at: noon,
      },
    ]);
    await ingest([progress('d0', 60_000)]);
    expect(await countRows('ota_events')).toBe(MOST_A_MINUTE.reports + 7);
  });

  test('with what is rejected leaves as many rows as are enough to see what it does', async () => {
    const garbage = (ms: number): RejectedMessage => ({
      topic: 'paku/edge/d0/status',
      clientId: 'd0',
      receivedAt: at(ms),
      reason: 'payload is not a JSON object',
      payload: Buffer.from('x'),
      payloadHash: sha256('x'),
    });
    for (let batch = 0; batch < 3; batch++) {
      await recordRejectedMessages(
        db.app,
        Array.from({ length: 200 }, (_, n) => garbage(batch * 2_000 + n * 5)),
      );
    }
    expect(await countRows('rejected_messages')).toBe(MOST_A_MINUTE.rejections + 1);
  });

  test('with statuses is still known by its newest, and its update sees the first of each minute', async () => {
    await addDevices(db.app, 1);
    await db.app.query('UPDATE devices SET last_seen = NULL');
    await addRelease(db.app, '2.0.0');
    await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    const service = new TestService(db.app);
    await service.tick();
    const report = (ms: number) => ({
      deviceId: 'd0',
      clientId: 'd0',
      macAddress: null,
      macReceivedAt: null,
      model: null,
      modelReceivedAt: null,
      version: '1.0.0',
      versionReceivedAt: at(ms),
      online: true,
      reachabilityReceivedAt: at(ms),
      lastSeen: at(ms),
      uptimeSeconds: ms,
      signalStrengthDbm: null,
      status: {},
    });
    const flood = Array.from({ length: 400 }, (_, n) => 1_000 + n * 100);
    await storeStatuses(
      db.app,
      flood.map((ms) => ({ receivedAt: at(ms), payloadHash: sha256(String(ms)), report: report(ms) })),
      at(50_000),
    );
    expect(await countRows('ota_events WHERE device_id IS NOT NULL')).toBe(MOST_A_MINUTE.statuses);
    expect(await db.app.query('SELECT uptime_seconds::integer AS uptime FROM devices')).toEqual([{ uptime: 40_900 }]);
  });
});

describe('a second delivery', () => {
  const garbage = (n: number): RejectedMessage => ({
    topic: 'paku/edge/d0/status',
    clientId: 'd0',
    receivedAt: at(n * 100),
    reason: 'payload is not a JSON object',
    payload: Buffer.from(`x${n}`),
    payloadHash: sha256(`x${n}`),
  });
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

  test('of rejected messages is no flood, and takes no room from those that come with it', async () => {
    await recordRejectedMessages(db.app, numbers(12).map(garbage));
    await recordRejectedMessages(db.app, numbers(12).map(garbage));
    expect(await countRows('rejected_messages')).toBe(12);
    await recordRejectedMessages(db.app, numbers(17).map(garbage));
    await recordRejectedMessages(db.app, [...numbers(17).map(garbage), ...numbers(17).map(garbage)]);
    expect(await countRows(`rejected_messages WHERE reason = 'payload is not a JSON object'`)).toBe(17);
    expect(await countRows('rejected_messages')).toBe(17);
  });

  test('of reports is handed on, so that what a first one left undone is done, and is no flood', async () => {
    await addDevices(db.app, 1);
    const said = numbers(MOST_A_MINUTE.reports).map((n) => progress('d0', n * 100));
    await ingest(said.slice(0, 200));
    const { taken, dropped } = await limitReports(db.app, [...said, progress('d0', 59_999)]);
    expect(dropped).toEqual([progress('d0', 59_999)]);
    expect(taken).toHaveLength(MOST_A_MINUTE.reports);
    await ingest(said);
    expect(await countRows('ota_events')).toBe(MOST_A_MINUTE.reports);
    expect(await countRows('rejected_messages')).toBe(0);
    expect((await limitReports(db.app, said)).taken).toHaveLength(MOST_A_MINUTE.reports);
  });
});

test('what comes late, but was said minutes apart, is no flood', () => {
  const night = Array.from({ length: 480 }, (_, n) => progress('d0', n * 60_000));
  expect(limitFloods(night, MOST_A_MINUTE.statuses, ({ topic }) => topic).dropped).toEqual([]);
});
