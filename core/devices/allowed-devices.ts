import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { type DeviceId, ID } from '../util/index.ts';

const allowedDevice = z.strictObject({
  device_id: ID.device,
  allowed_at: z.date(),
  allowed_by: z.string(),
  /** When the device first requested an identity; the entry expires some minutes later. */
  provisioned_at: z.date().nullable(),
  /** What is stated of the device before it reports. */
  device_model: z.string().nullable(),
  mac_address: z.string().nullable(),
});

/** A device that may request an identity with a provisioning claim. */
export type AllowedDevice = RowOf<typeof allowedDevice>;

/**
 * How long an entry may be used again after its first use, for a device that did not receive the response. It also
 * limits how long the holder of a leaked claim can request an identity for a provisioned device.
 */
export const USABLE_MINUTES = 15;

/** How many certificates an entry allows. A device that did not receive the response asks again. */
export const CERTIFICATES_PER_ENTRY = 3;

/** A device that is expected, with what is known of it before it reports. */
export type ExpectedDevice = Pick<AllowedDevice, 'device_id' | 'device_model' | 'mac_address'>;

/**
 * Allows devices to request an identity once each. An entry that was used up is renewed.
 * @returns how many devices are now allowed
 */
export async function allowDevices(
  sql: Sql,
  devices: readonly ExpectedDevice[],
  by: string,
  now: Date,
): Promise<number> {
  const rows = await sql.query(
    `INSERT INTO allowed_devices AS a (device_id, device_model, mac_address, allowed_at, allowed_by)
     SELECT DISTINCT ON (device_id) device_id, device_model, mac_address, :now::timestamptz, :by
     FROM jsonb_to_recordset(:devices::jsonb) AS w(device_id text, device_model text, mac_address text) ORDER BY device_id
     ON CONFLICT (device_id) DO UPDATE SET
       device_model = excluded.device_model, mac_address = excluded.mac_address,
       allowed_at = excluded.allowed_at, allowed_by = excluded.allowed_by, provisioned_at = NULL,
       claim_certificate_id = NULL, certificates = 0
     RETURNING 1 AS one`,
    { devices, by, now },
  );
  return rows.length;
}

/**
 * Removes devices from the list. Their certificates stay valid.
 * @returns how many were on the list
 */
export async function forbidDevices(sql: Sql, deviceIds: readonly DeviceId[]): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM allowed_devices WHERE device_id IN (SELECT jsonb_array_elements_text(:ids::jsonb)) RETURNING 1 AS one`,
    { ids: deviceIds },
  );
  return rows.length;
}

/** Entries after an id, in the order of ids. */
export async function listAllowedDevices(sql: Sql, after: string | null, limit: number): Promise<AllowedDevice[]> {
  return select(
    sql,
    allowedDevice,
    `SELECT device_id, allowed_at, allowed_by, provisioned_at, device_model, mac_address FROM allowed_devices
     WHERE (:after::text IS NULL OR device_id > :after::text) ORDER BY device_id LIMIT :limit`,
    { after, limit },
  );
}

/**
 * Checks that a device may be provisioned now by this claim and was not revoked, and records the use in its timeline. The
 * entry belongs to the claim that uses it first.
 * @returns how many certificates the entry has allowed, this one included; 0 if the device may not be provisioned
 */
export async function spendAllowance(
  sql: Sql,
  deviceId: DeviceId,
  detail: { readonly certificateId: string; readonly claimCertificateId: string },
  now: Date,
): Promise<number> {
  const [used] = await select(
    sql,
    z.strictObject({ certificates: z.int() }),
    `WITH used AS (
       UPDATE allowed_devices AS a SET provisioned_at = coalesce(a.provisioned_at, :now::timestamptz),
         claim_certificate_id = :claim, certificates = a.certificates + 1
       WHERE a.device_id = :device AND coalesce(a.claim_certificate_id, :claim) = :claim
         AND a.certificates < ${CERTIFICATES_PER_ENTRY}
         AND coalesce(a.provisioned_at, :now::timestamptz) > :now::timestamptz - make_interval(mins => ${USABLE_MINUTES})
         AND NOT EXISTS (SELECT FROM devices AS d WHERE d.device_id = a.device_id AND d.revoked_at IS NOT NULL)
       RETURNING a.device_id, a.certificates
     ), event AS (
       INSERT INTO ota_events (device_id, event_type, received_at, payload, payload_hash)
       SELECT device_id, 'device_provisioned', :now::timestamptz, :detail::jsonb,
         md5(device_id || ' provisioned ' || :now::timestamptz)
       FROM used
       ON CONFLICT DO NOTHING
     )
     SELECT certificates FROM used`,
    { device: deviceId, claim: detail.claimCertificateId, detail, now },
  );
  return used?.certificates ?? 0;
}

const extraCertificates = z.strictObject({
  device_id: ID.device,
  certificates: z.int(),
  provisioned_at: z.date(),
  /** How many devices got several certificates. */
  devices: z.int(),
});

/** A device that got several certificates by one entry. */
export type ExtraCertificates = RowOf<typeof extraCertificates>;

/**
 * The newest device that got several certificates by its entry and was not revoked since; undefined if there is none. An
 * entry that is removed or renewed is settled.
 */
export async function findExtraCertificates(sql: Sql): Promise<ExtraCertificates | undefined> {
  const [newest] = await select(
    sql,
    extraCertificates,
    `SELECT a.device_id, a.certificates, a.provisioned_at, (count(*) OVER ())::integer AS devices FROM allowed_devices AS a
     WHERE a.certificates > 1 AND a.provisioned_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM devices AS d WHERE d.device_id = a.device_id AND d.revoked_at IS NOT NULL)
     ORDER BY a.provisioned_at DESC LIMIT 1`,
    {},
  );
  return newest;
}
