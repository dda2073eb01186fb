import { setTimeout as delay } from 'node:timers/promises';
import type { VirtualDevice } from '../../fleet/virtual-device.ts';
import type { LocalRuntime } from '../../local/runtime/index.ts';
import { addDevices, addRelease, addRollout } from '../../test/support/rows.ts';
import type { TypedDatabase } from '../../test/support/test-sql.ts';
import { ScriptedDevice } from './load.ts';
import { type Probe, quantile } from './measure.ts';

export interface StormOptions {
  readonly runtime: LocalRuntime;
  readonly database: TypedDatabase;
  readonly fleet: readonly VirtualDevice[];
  readonly probe: Probe;
}

/** A part of the storm: latencies of a status in ms, and the time to recover. */
export interface Part {
  readonly median: number | null;
  readonly p95: number | null;
  readonly recoverySeconds: number;
  readonly more?: Record<string, unknown>;
}

export interface Storm {
  readonly quiet: Part;
  readonly reconnect: Part;
  readonly flood: Part;
  readonly tenfold: Part;
}

/** Limits of the 95th percentile of the latency, and of the time to recover. */
const MAX_STATUS_MS = 10_000;
const MOST_RECOVERY_SECONDS = 60;

const QUIET_SECONDS = 60;
const FLOOD_SECONDS = 60;
/** The limit of publishes per connection in AWS IoT. */
const FLOOD_PER_SECOND = 100;
const TENFOLD_SECONDS = 180;
const HEARTBEAT_SECONDS = 15;

/**
 * All devices reconnect at once; one device floods; for three minutes there are ten times as many messages. A pending
 * update prevents idle mode, in which redundant heartbeats are ignored.
 */
export async function playStorm(options: StormOptions): Promise<Storm> {
  const { database } = options;
  const model = 'never-there';
  await addRelease(database, '2.0.0', { model });
  await addDevices(database, 1, { model, prefix: model });
  await addRollout(database, model, '2.0.0', { device_model: model });
  const quiet = await measure(options, () => delay(QUIET_SECONDS * 1000));
  const reconnect = await measure(options, () => reconnectAll(options));
  const flood = await measure(options, () => floodByOne(options));
  const tenfold = await measure(options, () => sendTenfold(options));
  await database.query('UPDATE rollout_configurations SET is_active = false, completed_at = now()');
  await database.query(
    `UPDATE device_update_status SET status = 'canceled', error_message = 'the storm is over', completed_at = now()`,
  );
  return { quiet, reconnect, flood, tenfold };
}

/** Parts with a latency or a time to recover above its limit. */
export const findHeldUp = (storm: Storm): string[] =>
  Object.entries(storm).flatMap(([name, { p95, recoverySeconds }]: [string, Part]) => [
    ...(p95 !== null && p95 <= MAX_STATUS_MS ? [] : [`${name}: 95 % of the statuses took up to ${p95} ms`]),
    ...(recoverySeconds <= MOST_RECOVERY_SECONDS ? [] : [`${name}: recovered after ${recoverySeconds} s`]),
  ]);

async function measure(
  { runtime, probe }: StormOptions,
  play: () => Promise<Record<string, unknown> | undefined>,
): Promise<Part> {
  const from = probe.second;
  const more = await play();
  const playedAt = Date.now();
  const until = probe.second;
  await runtime.idle();
  const recoverySeconds = (Date.now() - playedAt) / 1000;
  const during = probe.samples.filter(({ second }) => second >= from && second <= until);
  const latencies = during.map(({ latencyMs }) => latencyMs ?? Number.POSITIVE_INFINITY);
  const part = { median: quantile(latencies, 0.5), p95: quantile(latencies, 0.95), recoverySeconds };
  return more === undefined ? part : { ...part, more };
}

/** Reconnects all devices and waits until their statuses have arrived. */
async function reconnectAll({ fleet, database }: StormOptions): Promise<Record<string, unknown>> {
  await Promise.all(fleet.map((device) => device.stop()));
  const beganAt = Date.now();
  for (const device of fleet) device.start();
  for (;;) {
    const [row] = await database.query<{ back: number }>(
      `SELECT count(*)::integer AS back FROM devices
       WHERE device_id LIKE 'soak-%' AND reachability_received_at >= :beganAt::timestamptz`,
      { beganAt: new Date(beganAt) },
    );
    if (row?.back === fleet.length) return { devicesBack: row.back, seconds: (Date.now() - beganAt) / 1000 };
    await delay(100);
  }
}

async function floodByOne({ runtime, database }: StormOptions): Promise<Record<string, unknown>> {
  const voice = await ScriptedDevice.open(runtime, 'flood');
  let said = 0;
  for (let tenth = 0; tenth < FLOOD_SECONDS * 10; tenth++) {
    for (let n = 0; n < FLOOD_PER_SECOND / 10; n++) voice.progress(said++ % 100);
    await delay(100);
  }
  await voice.close();
  await runtime.idle();
  const [rows] = await database.query<Record<string, unknown>>(
    `SELECT (SELECT count(*)::integer FROM ota_events WHERE device_id = 'flood') AS kept,
       (SELECT count(*)::integer FROM rejected_messages WHERE topic LIKE '%/flood/%') AS rows_that_tell_of_it`,
  );
  return { said, ...rows };
}

/** Sends statuses of a hundred more devices, in addition to the fleet. */
async function sendTenfold({ runtime, fleet }: StormOptions): Promise<Record<string, unknown>> {
  const voices = await Promise.all(Array.from({ length: 100 }, (_, n) => ScriptedDevice.open(runtime, `voice-${n}`)));
  const aSecond = (9 * fleet.length) / HEARTBEAT_SECONDS;
  const beganAt = Date.now();
  let said = 0;
  while (Date.now() - beganAt < TENFOLD_SECONDS * 1000) {
    const due = ((Date.now() - beganAt) / 1000) * aSecond;
    for (; said < due; said++) voices[said % voices.length]?.status('1.0.0');
    await delay(50);
  }
  await Promise.all(voices.map((voice) => voice.close()));
  return { messagesASecond: Math.round(aSecond * (10 / 9)) };
}
