import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { describeDropped, limitPerMinute, limitReports, MAX_PER_MINUTE } from '../../../core/ingest/rate-limit.ts';
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

/** Processes a batch like the function does. */
async function ingest(messages: readonly ReturnType<typeof progress>[]): Promise<void> {
  const { taken, dropped } = await limitReports(db.app, messages);
  await storeReports(db.app, taken);
  await recordRejectedMessages(db.app, describeDropped(dropped, MAX_PER_MINUTE.reports));
}

const countRows = async (table: string) => {
  const [row] = await db.app.query<{ rows: number }>(`SELECT count(*)::integer AS rows FROM ${table}`);
  return row?.rows;
};

describe('for a device that exceeds the rate limit', () => {
  test('stores a limited number of reports per topic and minute over all batches, and one rejection for the rest', async () => {
    await addDevices(db.app, 2);
    for (let batch = 0; batch < 6; batch++) {
      const burst = Array.from({ length: 100 }, (_, n) => progress('d0', batch * 1000 + n * 10));
      await ingest([...burst, progress('d1', batch * 1000)]);
    }
    expect(
      await db.app.query(`SELECT device_id, count(*)::integer AS events FROM ota_events GROUP BY 1 ORDER BY 1`),
    ).toEqual([
      { device_id: 'd0', events: MAX_PER_MINUTE.reports },
      { device_id: 'd1', events: 6 },
    ]);
    expect(await db.app.query('SELECT topic, reason, received_at FROM rejected_messages')).toEqual([
      {
        topic: 'paku/devices/d0/ota/progress',
        reason: 'rate limit: more than 300 messages on this topic within a minute; the rest were dropped',
        received_at: noon,
      },
    ]);
    await ingest([progress('d0', 60_000)]);
    expect(await countRows('ota_events')).toBe(MAX_PER_MINUTE.reports + 7);
  });

  test('stores a limited number of rejected messages', async () => {
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
    expect(await countRows('rejected_messages')).toBe(MAX_PER_MINUTE.rejections + 1);
  });

  test('stores the newest status and evaluates the first statuses of each minute', async () => {
    await addDevices(db.app, 1);
    await db.app.query('UPDATE devices SET last_seen = NULL');
    await addRelease(db.app, '2.0.0');
    await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    const service = new TestService(db.app, db.roles);
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
    const burst = Array.from({ length: 400 }, (_, n) => 1_000 + n * 100);
    await storeStatuses(
      db.app,
      burst.map((ms) => ({ receivedAt: at(ms), payloadHash: sha256(String(ms)), report: report(ms) })),
      at(50_000),
    );
    expect(await countRows('ota_events WHERE device_id IS NOT NULL')).toBe(MAX_PER_MINUTE.statuses);
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

  test('of rejected messages does not count against the limit', async () => {
    await recordRejectedMessages(db.app, numbers(12).map(garbage));
    await recordRejectedMessages(db.app, numbers(12).map(garbage));
    expect(await countRows('rejected_messages')).toBe(12);
    await recordRejectedMessages(db.app, numbers(17).map(garbage));
    await recordRejectedMessages(db.app, [...numbers(17).map(garbage), ...numbers(17).map(garbage)]);
    expect(await countRows(`rejected_messages WHERE reason = 'payload is not a JSON object'`)).toBe(17);
    expect(await countRows('rejected_messages')).toBe(17);
  });

  test('of reports is processed again, so that unfinished work is completed, and does not count against the limit', async () => {
    await addDevices(db.app, 1);
    const said = numbers(MAX_PER_MINUTE.reports).map((n) => progress('d0', n * 100));
    await ingest(said.slice(0, 200));
    const { taken, dropped } = await limitReports(db.app, [...said, progress('d0', 59_999)]);
    expect(dropped).toEqual([progress('d0', 59_999)]);
    expect(taken).toHaveLength(MAX_PER_MINUTE.reports);
    await ingest(said);
    expect(await countRows('ota_events')).toBe(MAX_PER_MINUTE.reports);
    expect(await countRows('rejected_messages')).toBe(0);
    expect((await limitReports(db.app, said)).taken).toHaveLength(MAX_PER_MINUTE.reports);
  });
});

test('messages that arrive together but were sent minutes apart do not exceed the limit', () => {
  const night = Array.from({ length: 480 }, (_, n) => progress('d0', n * 60_000));
  expect(limitPerMinute(night, MAX_PER_MINUTE.statuses, ({ topic }) => topic).dropped).toEqual([]);
});
