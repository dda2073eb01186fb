import * as z from 'zod';
import { anyJson, type RowOf, type Sql, select } from '../db/index.ts';
import type { DeviceReport } from '../devices/index.ts';
import { NEXT_HOLD_TIME } from '../holds/index.ts';
import { type FactValue, isVolatileFact, type RecordingPause, VOLATILE_FACTS } from '../protocol/index.ts';
import { HAS_UNPUBLISHED_EVENTS, MAY_RUN } from '../rollouts/index.ts';
import { ID } from '../util/index.ts';

/**
 * Whether the system is awake or in idle mode. In idle mode neither ticks nor redundant heartbeats access the database,
 * which may pause. The marker is a hint stored outside the database; the periodic sweep finds work that a lost marker
 * would hide.
 */
export type IdleMarker = AwakePeriod | IdlePeriod;

interface AwakePeriod {
  readonly state: 'awake';
  readonly since: string;
  /** The idle period before it. */
  readonly pause?: { readonly from: string; readonly to: string };
}

export interface IdlePeriod {
  readonly state: 'idle';
  readonly since: string;
  readonly until: string;
  readonly devices: readonly DeviceSnapshot[];
}

const deviceSnapshot = z.strictObject({
  device_id: ID.device,
  client_id: z.string().nullable(),
  certificate_id: z.string().nullable(),
  /** The MAC address and the model that it reported last; null if it has reported none. */
  mac_address: z.string().nullable(),
  device_model: z.string().nullable(),
  version: z.string(),
  online: z.boolean(),
  /** What it states about itself, except what changes while it runs; empty if that is too long for a snapshot. */
  facts: anyJson<Readonly<Record<string, FactValue>>>(),
});

/**
 * The stored state of a device without an open update. A device with an open update has no snapshot, because any status
 * of it may matter.
 */
export type DeviceSnapshot = RowOf<typeof deviceSnapshot>;

/** Minimum time awake between idle periods; long enough for each device to report once. */
export const AWAKE_MINUTES = 5;
/** A larger fleet does not enter idle mode: every few minutes some device of it reports something new. */
const MAX_SNAPSHOT_DEVICES = 5_000;
const TOO_MANY_DEVICES = MAX_SNAPSHOT_DEVICES + 1;
const DEVICES_PER_STATEMENT = 500;
/** Bytes of facts of one device. The answer of a statement, with all its devices, has at most a megabyte. */
const MAX_FACTS_BYTES = 1_000;

const VOLATILE_LIST = `'{${VOLATILE_FACTS.join(',')}}'::text[]`;

/** Whether the system may enter idle mode, and for how long. */
export interface IdleAssessment {
  /** True if there is work that a device or the orchestrator may have to act on soon. */
  readonly isBusy: boolean;
  /** The earliest deadline of an open update, or end of a hold. */
  readonly dueAt: Date | null;
  /** A text that changes with every change of a rollout. */
  readonly rollouts: string;
  /** Null if the system is busy or has too many devices. */
  readonly devices: readonly DeviceSnapshot[] | null;
}

/** True if the system has been awake for long enough. */
export function mayEnterIdle(marker: IdleMarker | undefined, now: Date): boolean {
  if (marker === undefined) return true;
  const awakeSince = marker.state === 'awake' ? marker.since : marker.until;
  return now.getTime() >= new Date(awakeSince).getTime() + AWAKE_MINUTES * 60_000;
}

export const isInIdleMode = (marker: IdleMarker | undefined, now: Date): marker is IdlePeriod =>
  marker?.state === 'idle' && now < new Date(marker.until);

/** The marker of a system that is woken. */
export function awakeAfter(before: IdleMarker | undefined, now: Date): IdleMarker {
  const pause = lastPause(before);
  if (pause === null) return { state: 'awake', since: now.toISOString() };
  const to = pause.to < now ? pause.to : now;
  return { state: 'awake', since: now.toISOString(), pause: { from: pause.from.toISOString(), to: to.toISOString() } };
}

/** The newest time in which repeated statuses were not recorded; null: none is known. */
export function lastPause(marker: IdleMarker | undefined): RecordingPause | null {
  const pause = marker?.state === 'idle' ? { from: marker.since, to: marker.until } : marker?.pause;
  return pause === undefined ? null : { from: new Date(pause.from), to: new Date(pause.to) };
}

/**
 * True if the status repeats what is stored. A field that the status does not state does not change the device, and
 * neither does a fact that changes while it runs: the service is awake while a rollout selects devices by one.
 */
export function isRedundantHeartbeat(report: DeviceReport, devices: ReadonlyMap<string, DeviceSnapshot>): boolean {
  const device = devices.get(report.deviceId);
  if (device === undefined) return false;
  const same = (stated: string | null, stored: string | null) => stated === null || stated === stored;
  return (
    report.online === device.online &&
    same(report.clientId, device.client_id) &&
    same(report.certificateId ?? null, device.certificate_id) &&
    same(report.macAddress, device.mac_address) &&
    same(report.model, device.device_model) &&
    same(report.version, device.version) &&
    Object.entries(report.facts ?? {}).every(
      ([name, { value }]) => isVolatileFact(name) || device.facts[name] === value,
    )
  );
}

const assessment = z.strictObject({
  isBusy: z.boolean(),
  dueAt: z.date().nullable(),
  rollouts: z.string(),
  devices: z.int(),
});

/** A device with a pending update that was not seen for a day does not prevent idle mode: its next status ends it. */
export async function assessIdle(sql: Sql, now: Date): Promise<IdleAssessment> {
  const [row] = await select(
    sql,
    assessment,
    `SELECT EXISTS (
         SELECT FROM device_update_status AS u JOIN devices AS d ON d.device_id = u.device_id
         WHERE u.completed_at IS NULL
           AND (u.status <> 'pending' OR d.last_seen > :now::timestamptz - interval '24 hours'))
       OR EXISTS (SELECT FROM device_update_status
         WHERE completed_at IS NOT NULL AND NOT is_counted AND rollout_id IS NOT NULL)
       OR EXISTS (SELECT FROM rollout_configurations AS r
         WHERE ${MAY_RUN} AND coalesce(r.target_filter -> 'facts', r.target_filter -> 'except' -> 'facts') IS NOT NULL
           AND EXISTS (SELECT FROM unnest(${VOLATILE_LIST}) AS name
             WHERE coalesce(r.target_filter -> 'facts' -> name, r.target_filter -> 'except' -> 'facts' -> name) IS NOT NULL))
       OR ${HAS_UNPUBLISHED_EVENTS} AS "isBusy",
       least((SELECT min(deadline_at) FROM device_update_status WHERE completed_at IS NULL),
         ${NEXT_HOLD_TIME}) AS "dueAt",
       (SELECT count(*) || ' ' || coalesce(max(updated_at)::text, '') FROM rollout_configurations
        WHERE completed_at IS NULL AND aborted_at IS NULL) AS rollouts,
       (SELECT count(*)::integer FROM (SELECT FROM devices LIMIT ${TOO_MANY_DEVICES}) AS d) AS devices`,
    { now },
  );
  if (row === undefined) throw new Error('a statement without a condition returned no row');
  const { devices, ...rest } = row;
  return {
    ...rest,
    devices: row.isBusy || devices > MAX_SNAPSHOT_DEVICES ? null : await loadDeviceSnapshots(sql),
  };
}

async function loadDeviceSnapshots(sql: Sql): Promise<DeviceSnapshot[]> {
  const devices: DeviceSnapshot[] = [];
  for (;;) {
    const page = await select(
      sql,
      deviceSnapshot,
      `SELECT device_id, client_id, certificate_id, coalesce(reported_mac, mac_address) AS mac_address,
         CASE WHEN model_received_at IS NOT NULL THEN coalesce(reported_model, device_model) END AS device_model,
         current_firmware_version AS version, online,
         CASE WHEN octet_length((facts - ${VOLATILE_LIST})::text) <= ${MAX_FACTS_BYTES} THEN facts - ${VOLATILE_LIST} ELSE '{}' END AS facts
       FROM devices AS d
       WHERE device_id > :after
         AND NOT EXISTS (SELECT FROM device_update_status AS u WHERE u.device_id = d.device_id AND u.completed_at IS NULL)
       ORDER BY device_id LIMIT ${DEVICES_PER_STATEMENT}`,
      { after: devices.at(-1)?.device_id ?? '' },
    );
    devices.push(...page);
    if (page.length < DEVICES_PER_STATEMENT) return devices;
  }
}

/**
 * The end of the idle period; undefined if the system may not enter idle mode.
 * @param dueAts when each active rollout has something to do even if no device reports; null: never
 */
export function idleUntil(
  { isBusy, dueAt, devices }: IdleAssessment,
  dueAts: readonly (Date | null)[],
  sweepMinutes: number,
  now: Date,
): Date | undefined {
  if (isBusy || devices === null) return undefined;
  const sweep = now.getTime() + sweepMinutes * 60_000;
  const until = [dueAt, ...dueAts].reduce((least, due) => Math.min(least, due?.getTime() ?? sweep), sweep);
  // The database would not pause in a shorter period.
  return until < now.getTime() + AWAKE_MINUTES * 60_000 ? undefined : new Date(until);
}
