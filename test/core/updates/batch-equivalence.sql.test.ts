import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reserveSends, storeSendOutcomes } from '../../../core/updates/dispatch-updates.ts';
import { releaseSlots } from '../../../core/updates/release-slots.ts';
import { ingestReports } from '../../../lambdas/ingest-ota/report-batch.ts';
import { parseStatusBatch, storeStatusBatch } from '../../../lambdas/ingest-status/status-batch.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { OTA_SENDERS, STATUS_SENDERS } from '../../support/senders.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

const sentAt = new Date('2026-03-01T12:00:00Z');
const at = (seconds: number) => new Date(sentAt.getTime() + seconds * 1000);
/** After every message and before every deadline. */
const now = at(400);

/** A message as a topic rule puts it on the queue of its kind. */
interface Queued {
  readonly queue: 'status' | 'ota';
  readonly body: string;
}

function onQueue(device: string, second: number, topic: string, payload: string | object): Queued {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return {
    queue: topic === 'status' ? 'status' : 'ota',
    body: JSON.stringify({
      payload: Buffer.from(text).toString('base64'),
      topic: `paku/edge/${device}/${topic}`,
      received_at: at(second).getTime(),
      client_id: device,
    }),
  };
}

const GARBAGE = ['not JSON', '{"firmware_version": {}}', '{"device_id": "another"}', '[]', '{"status": "perhaps"}'];

const garbage = (second: fc.Arbitrary<number>, isStatus: fc.Arbitrary<boolean>, length: fc.ArrayConstraints) =>
  fc.array(fc.tuple(second, fc.constantFrom(...GARBAGE), isStatus), length);

/** Messages of one device about its command and otherwise; any of them may be lost before the rule. */
const messagesOf = (device: string) =>
  fc
    .record({
      end: fc.constantFrom('runs', 'boots back', 'dies young', 'fails', 'says nothing more'),
      wait: fc.integer({ min: 0, max: 60 }),
      garbage: fc.oneof(
        { weight: 2, arbitrary: garbage(fc.integer({ min: 1, max: 300 }), fc.boolean(), { maxLength: 3 }) },
        // Enough messages per minute to be checked against the rate limit, but not above it.
        {
          weight: 1,
          arbitrary: garbage(fc.integer({ min: 1, max: 59 }), fc.constant(true), { minLength: 18, maxLength: 19 }),
        },
      ),
      isOff: fc.boolean(),
      isLost: fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 16, maxLength: 16 }),
      // A device that reconnects to the broker delivers at once what it had queued.
      heldBack: fc.constantFrom(1, 1, 5, 60),
    })
    .map(({ end, wait, garbage: rubbish, isOff, isLost, heldBack }) => {
      const arrives = (second: number) => Math.ceil(second / heldBack) * heldBack;
      const queued = (id: string, second: number, topic: string, payload: string | object) =>
        onQueue(id, arrives(second), topic, payload);
      const status = (second: number, version: string, uptime: number, more: object = {}) =>
        queued(device, second, 'status', { firmware_version: version, uptime_seconds: uptime, ...more });
      const boots = {
        runs: [status(101 + wait, '2.0.0', 2), status(161 + wait, '2.0.0', 62)],
        'boots back': [status(121 + wait, '1.0.0', 2), status(181 + wait, '1.0.0', 62)],
        // A reboot loses what the device had queued, so statuses of two boots do not arrive together.
        'dies young': [
          status(101 + wait, '2.0.0', 2),
          onQueue(device, arrives(141 + wait) + 1, 'status', { firmware_version: '1.0.0', uptime_seconds: 3 }),
        ],
        fails: [status(160, '1.0.0', 5_160)],
        'says nothing more': [],
      }[end];
      const code = end === 'fails' ? 2 : 0;
      const said = [
        queued(device, 1, 'ota/status', { status: 'accepted', version: '2.0.0' }),
        queued(device, 20, 'ota/progress', { state: 'Downloading', percent: 10 }),
        status(45, '1.0.0', 5_045, { wifi: { mac: 'A0:B7:65:20:E9:55', rssi: -60 } }),
        queued(device, 60, 'ota/progress', { state: 'Downloading', percent: 70 }),
        queued(device, 90, 'ota/progress', { state: 'Installing', percent: 100 }),
        queued(device, 100, 'ota/result', { success: code === 0, result_code: code, version: '2.0.0' }),
        status(102, '1.0.0', 5_102, { device_model: 'esp32-s3' }),
        ...boots,
        ...(isOff ? [queued(device, 290, 'status', { online: false })] : []),
        ...rubbish.map(([second, text, isStatus]) => queued(device, second, isStatus ? 'status' : 'ota/result', text)),
      ];
      return said.filter((_, n) => isLost[n] !== 0);
    });

const histories = fc.tuple(messagesOf('d0'), messagesOf('d1'), messagesOf('d2')).map((all) => all.flat());

/** Processes a batch like the two ingestion functions do. */
async function ingest(queue: Queued['queue'], batch: readonly Queued[]): Promise<void> {
  if (queue === 'status')
    await storeStatusBatch(db.app, parseStatusBatch(batch, { ...STATUS_SENDERS, acceptAnyClientId: true }, now), now);
  else await ingestReports(db.app, batch, OTA_SENDERS, now);
}

/** Three devices on 1.0.0 that were sent 2.0.0 at 12:00:00. */
async function begin(): Promise<void> {
  await db.empty();
  await addDevices(db.app, 3);
  await db.app.query('UPDATE devices SET last_seen = NULL');
  await addRelease(db.app, '2.0.0');
  const rollout = await addRollout(db.app, 'r', '2.0.0', { max_attempts: 1 });
  await db.app.query('INSERT INTO rollout_runtime (rollout_id, start_limit) VALUES (:rollout, NULL)', { rollout });
  await db.app.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, created_at)
     SELECT device_id, :rollout, 1, '2.0.0', :sentAt::timestamptz FROM devices ORDER BY device_id`,
    { rollout, sentAt },
  );
  // Whether a command was ignored is decided once, by what was processed until then, so it depends on the order. That
  // decision is used up here.
  await db.app.query(`UPDATE device_update_status SET next_family = 'devices'`);
  const sends = [1, 2, 3].map((id) => ({ id, family: 'devices' as const, delivery: 'redirect' as const }));
  const sent = await reserveSends(db.app, rollout, sends, sentAt);
  await storeSendOutcomes(
    db.app,
    sent.map((send) => ({ ...send, outcome: 'acknowledged' as const, message: null, retryAt: null })),
    sentAt,
  );
}

/** All rows of a history, without the order in which they were written. */
async function readRows(): Promise<unknown> {
  return {
    // The habits of a device are estimates: they depend on the order in which its statuses are stored.
    devices: await db.app.query(
      `SELECT to_jsonb(d) - '{registered_at,report_interval_seconds,restarts,observed_seconds}'::text[] AS device
       FROM devices AS d ORDER BY device_id`,
    ),
    updates: await db.app.query(
      `SELECT to_jsonb(u) - 'evaluated_events' AS update FROM device_update_status AS u ORDER BY id`,
    ),
    attempts: await db.app.query('SELECT * FROM update_attempts ORDER BY update_id, attempt'),
    // Statuses are stored as evidence while an update is open, so their number depends on when it closed. A change of
    // identity is seen by the device that is stored second.
    events: await db.app.query(
      `SELECT device_id, rollout_id, update_id, attempt, event_type, state, received_at, payload, payload_hash
       FROM ota_events WHERE event_type NOT IN ('status', 'model_changed', 'mac_changed', 'mac_shared') ORDER BY device_id, received_at, event_type, payload_hash`,
    ),
    rejected: await db.app.query(
      `SELECT topic, reason, payload, payload_sha256, received_at FROM rejected_messages
       ORDER BY topic, received_at, payload_sha256`,
    ),
    pace: await db.app.query('SELECT in_flight, started_count, is_stopped FROM rollout_runtime'),
  };
}

async function deliver(messages: readonly Queued[], sizes: readonly number[]): Promise<void> {
  let rest = messages;
  for (let n = 0; rest.length > 0; n++) {
    const batch = rest.slice(0, sizes[n % sizes.length]);
    rest = rest.slice(batch.length);
    for (const queue of ['status', 'ota'] as const) {
      const ofQueue = batch.filter((message) => message.queue === queue);
      if (ofQueue.length > 0) await ingest(queue, ofQueue);
    }
  }
  // The next tick does this for updates that statuses ended.
  await releaseSlots(db.app);
}

const sentOrder = ({ body }: Queued) => (JSON.parse(body) as { received_at: number }).received_at;

test(
  'the reports of three devices leave the same rows with any duplicates, in any order and any batches',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        histories.chain((messages) =>
          fc.record({
            clean: fc.constant([...messages].sort((a, b) => sentOrder(a) - sentOrder(b))),
            delivered: fc.shuffledSubarray([...messages, ...messages], { minLength: messages.length * 2 }),
          }),
        ),
        // Small batches, or everything in two.
        fc.option(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }), { freq: 1 }),
        async ({ clean, delivered }, sizes) => {
          await begin();
          await deliver(clean, [1]);
          const rows = await readRows();
          await begin();
          await deliver(delivered, sizes ?? [clean.length]);
          expect(await readRows()).toEqual(rows);
        },
      ),
      { numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 15) },
    );
  },
  10 * 60_000,
);

test('of statuses with the same receive time the same one counts, in any order and any batches', async () => {
  const said = (status: object, clientId = 'd0') => {
    const message = onQueue('d0', 10, 'status', status);
    return { ...message, body: message.body.replace('"client_id":"d0"', `"client_id":"${clientId}"`) };
  };
  const old = said({ firmware_version: '1.0.0', uptime_seconds: 5_000, wifi: { rssi: -60 } });
  const booted = said({ firmware_version: '2.0.0', uptime_seconds: 2, device_model: 'x' });
  const elsewhere = said({ firmware_version: '1.5.0', uptime_seconds: 7 }, 'e');
  const off = said({ online: false });
  for (const history of [
    [old, booted, elsewhere],
    [old, booted, elsewhere, off],
  ]) {
    const outcomes = [];
    for (const order of [history, [...history].reverse(), [...history.slice(1), ...history.slice(0, 1)]]) {
      for (const size of [1, 2, 4]) {
        await begin();
        await deliver(order, [size]);
        outcomes.push(await readRows());
      }
    }
    for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]);
  }
});
