import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice } from '../../../core/explain/index.ts';
import { runTick } from '../../../core/orchestrator/index.ts';
import { NO_SIGNATURE_REQUIRED } from '../../../core/release-policy/index.ts';
import { loadProcessedUntil, recordProcessed, recordQueues } from '../../../core/updates/index.ts';
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
  service = new TestService(db.app);
});

/** A tick's reading of the queues. @returns minutes between now and the time up to which messages were processed */
async function lagOf(status: number | null, ota: number | null = 0): Promise<number> {
  const readings = [
    { queue: 'status', messages: status },
    { queue: 'ota', messages: ota },
  ] as const;
  return minutesAgo(await recordQueues(db.app, readings, service.now));
}
const minutesAgo = (time: Date) => Math.round((service.now.getTime() - time.getTime()) / 600) / 100;
const process = (minutesLate: number, queue: 'status' | 'ota' = 'status') =>
  recordProcessed(db.app, queue, new Date(service.now.getTime() - minutesLate * 60_000), service.now);

describe('messages of devices count as processed', () => {
  test('until now while the queues are empty, and at the first reading', async () => {
    expect(await lagOf(7)).toBe(0);
    service.later(1);
    expect(await lagOf(0)).toBe(0);
  });

  test('until a queue was last empty while it holds messages and nothing of it is processed', async () => {
    expect(await lagOf(0)).toBe(0);
    service.later(1);
    expect(await lagOf(3)).toBe(1);
    service.later(9);
    expect(await lagOf(40)).toBe(10);
    service.later(1);
    expect(await lagOf(0)).toBe(0);
  });

  test('until a reading before an outage in which no tick ran', async () => {
    await lagOf(0);
    service.later(180);
    expect(await lagOf(5)).toBe(180);
  });

  test('until the last batch while a queue holds messages and is processed', async () => {
    await lagOf(0);
    for (let minutes = 0; minutes < 5; minutes++) {
      service.later(0.9);
      await process(0);
      service.later(0.1);
      expect(await lagOf(12)).toBe(0.1);
    }
  });

  test('less the lag of the batches, which halves every five minutes', async () => {
    await lagOf(0);
    service.later(60);
    await process(60);
    expect(await lagOf(1_000)).toBe(60);
    await process(1);
    expect(await lagOf(0)).toBe(60);
    service.later(5);
    expect(await lagOf(0)).toBe(30);
    await process(50);
    await process(2);
    expect(await lagOf(0)).toBe(50);
    service.later(24 * 60);
    await process(0);
    expect(await lagOf(0)).toBe(0);
  });

  test('as far as both queues are', async () => {
    await lagOf(0, 0);
    service.later(4);
    expect(await lagOf(0, 1)).toBe(4);
    service.later(1);
    expect(await lagOf(2, 0)).toBe(1);
  });

  test('as if a queue that could not be read held messages', async () => {
    await lagOf(0);
    service.later(2);
    expect(await lagOf(null)).toBe(2);
  });

  test('as if the queues held messages where nobody reads them now', async () => {
    expect(minutesAgo(await loadProcessedUntil(db.app, service.now))).toBe(0);
    await lagOf(0);
    service.later(2);
    expect(minutesAgo(await loadProcessedUntil(db.app, service.now))).toBe(2);
  });
});

describe('while messages wait to be processed', () => {
  const tick = async (processedUntil: Date) => {
    await runTick(
      db.app,
      service.now,
      async () => {},
      { trust: NO_SIGNATURE_REQUIRED, requireApproval: false },
      processedUntil,
    );
    const [update] = await db.app.query('SELECT status, attempt, completed_at FROM device_update_status');
    return update;
  };

  beforeEach(async () => {
    await addRelease(db.app, '2.0.0');
    await addDevices(db.app, 1);
    await lagOf(0);
    await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    await service.tick();
  });

  test('a device that booted the release is not taken for silent, and the explanation says why', async () => {
    await service.boot('d0');
    const heard = service.now;
    service.later(8 * 60);
    await lagOf(3);
    expect(await tick(heard)).toMatchObject({ status: 'success', completed_at: null });
    const explanation = await explainDevice(db.app, 1, 'd0', service.now);
    expect(explanation?.next).toMatch(/^its deadline passed at .*; the queues were processed until /);
    expect(await tick(service.now)).toMatchObject({ status: 'timed_out' });
  });

  test('a device that is downloading is not sent the command again', async () => {
    await service.fetch('d0');
    const heard = service.now;
    service.later(60);
    expect(await tick(heard)).toMatchObject({ status: 'downloading', attempt: 1 });
    expect(await tick(service.now)).toMatchObject({ status: 'pending', attempt: 1 });
  });

  test('a device that has not answered does not count as out of reach', async () => {
    service.fates.set('d0', 'unconfirmed');
    await db.app.query(`UPDATE update_attempts SET send_result = 'unconfirmed'`);
    await db.app.query(`UPDATE devices SET last_seen = :at::timestamptz`, {
      at: new Date(service.now.getTime() - 3_600_000),
    });
    const heard = service.now;
    service.later(20);
    expect(await tick(heard)).toMatchObject({ status: 'sent', attempt: 1 });
    expect(await tick(service.now)).toMatchObject({ status: 'pending', attempt: 0 });
  });
});
