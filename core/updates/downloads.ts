import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { LinkTarget } from '../protocol/index.ts';
import { deliverySchema } from '../release-policy/index.ts';
import { IS_RUNNING, STOPPED_BEFORE_FETCH } from '../rollouts/index.ts';
import { ID } from '../util/index.ts';

const download = z.strictObject({
  device_id: ID.device,
  /** How the command of this attempt was made; null for a command of an earlier release of this service. */
  delivery: deliverySchema.nullable(),
  device_model: z.string(),
  rollout_id: ID.rollout,
  attempt: z.int(),
  object_key: z.string(),
  file_size: z.int(),
  /** Model of the release. */
  release_model: z.string(),
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
  /** The signed manifest, and its signature in base64; null if the release has none. */
  manifest: z.string().nullable(),
  manifest_signature: z.string().nullable(),
  is_open: z.boolean(),
  /**
   * Why a download that has not started must not start: the rollout was stopped, the release revoked, or the identity of
   * the device changed; null otherwise.
   */
  stopped_reason: z.string().nullable(),
});

/** The current state of a download link. */
export type Download = RowOf<typeof download>;

/** Undefined if no such attempt was sent. */
export async function getDownload(sql: Sql, { updateId, attempt }: LinkTarget): Promise<Download | undefined> {
  const [row] = await select(
    sql,
    download,
    `SELECT u.device_id, d.device_model, u.rollout_id, a.attempt, a.delivery, f.object_key, f.file_size,
       f.device_model AS release_model, f.signing_key, f.signature_expires_at, f.manifest, f.manifest_signature,
       u.completed_at IS NULL AND f.revoked_at IS NULL AND d.revoked_at IS NULL AS is_open,
       CASE WHEN u.status NOT IN ('pending', 'sent') THEN NULL
         WHEN d.identity_changed_at IS NOT NULL THEN 'the device reported another model or MAC address before it fetched the image'
         WHEN f.revoked_at IS NOT NULL THEN 'the release was revoked before the device fetched its image'
         WHEN NOT (${IS_RUNNING}) THEN '${STOPPED_BEFORE_FETCH}' END AS stopped_reason
     FROM update_attempts AS a
     JOIN device_update_status AS u ON u.id = a.update_id
     JOIN devices AS d ON d.device_id = u.device_id
     JOIN firmware_releases AS f ON f.id = u.release_id
     JOIN rollout_configurations AS r ON r.id = u.rollout_id
     JOIN rollout_runtime AS p ON p.rollout_id = u.rollout_id
     WHERE a.update_id = :update AND a.attempt = :attempt`,
    { update: updateId, attempt },
  );
  return row;
}
