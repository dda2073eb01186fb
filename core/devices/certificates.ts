import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { ID } from '../util/index.ts';
import { INSERT_DEVICE_EVENT } from './device-audit.ts';

/** True if the older certificates of a row of devices remain to be revoked. */
export const HAS_NEW_CERTIFICATE = 'certificate_is_new AND revoked_at IS NULL';

const newCertificate = z.strictObject({ device_id: ID.device, certificate_id: z.string() });

/** A device, and the certificate with which it published a status for the first time. */
export type NewCertificate = RowOf<typeof newCertificate>;

/** Some devices with a new certificate, in no order, so that those that fail do not keep others waiting. */
export async function listNewCertificates(sql: Sql, limit: number): Promise<NewCertificate[]> {
  return select(
    sql,
    newCertificate,
    `SELECT device_id, certificate_id FROM devices WHERE ${HAS_NEW_CERTIFICATE} ORDER BY random() LIMIT :limit`,
    { limit },
  );
}

/** A certificate in use, and the older ones of the device that were revoked for it. */
export interface CheckedCertificate extends NewCertificate {
  readonly revoked: readonly string[];
}

/** Stores that the older certificates of devices were revoked, in their timelines too if there were any. */
export async function recordCheckedCertificates(
  sql: Sql,
  checked: readonly CheckedCertificate[],
  by: string,
  now: Date,
): Promise<void> {
  if (checked.length === 0) return;
  await sql.query(
    `WITH checked AS (
       SELECT device_id, certificate_id, revoked
       FROM jsonb_to_recordset(:checked::jsonb) AS c(device_id text, certificate_id text, revoked jsonb)
     ), stored AS (
       UPDATE devices AS d SET checked_certificate_id = c.certificate_id
       FROM checked AS c WHERE d.device_id = c.device_id
     ), changed AS (
       SELECT device_id, 'certificates_revoked' AS event,
         jsonb_build_object('certificates', revoked, 'in_use', certificate_id) AS payload
       FROM checked WHERE revoked <> '[]'
     ), recorded AS (${INSERT_DEVICE_EVENT})
     SELECT device_id FROM changed`,
    { checked, by, now },
  );
}

const revokedCertificates = z.strictObject({
  device_id: ID.device,
  certificates: z.array(z.string()),
  received_at: z.date(),
  /** How many devices lost older certificates in the last day, this one included. */
  devices: z.int(),
});

/** A device whose older certificates were revoked. */
export type RevokedCertificates = RowOf<typeof revokedCertificates>;

/** The newest such device of the last day; undefined if there was none. */
export async function findRevokedCertificates(sql: Sql, now: Date): Promise<RevokedCertificates | undefined> {
  const [newest] = await select(
    sql,
    revokedCertificates,
    `SELECT e.device_id, e.payload -> 'certificates' AS certificates, e.received_at,
       (count(*) OVER ())::integer AS devices
     FROM ota_events AS e
     WHERE e.event_type = 'certificates_revoked' AND e.received_at > :since::timestamptz
     ORDER BY e.received_at DESC, e.id DESC LIMIT 1`,
    { since: new Date(now.getTime() - 86_400_000) },
  );
  return newest;
}
