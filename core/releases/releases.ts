import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { type EarlierImage, earlierOf, type HighestSecureVersion } from '../release-policy/index.ts';
import { ID } from '../util/index.ts';
import type { Provenance } from './upload-requests.ts';

/** A verified image as it is stored. */
export interface NewRelease extends Provenance {
  readonly version: string;
  readonly deviceModel: string;
  readonly objectKey: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly chip: string;
  readonly projectName: string | null;
  readonly appVersion: string | null;
  readonly minVersion: string | null;
  readonly changelog: string | null;
  readonly releaseNotes: string | null;
  readonly isSigned: boolean;
  /** Digest of the trusted key that signed it; null if none did. */
  readonly signingKey: string | null;
  readonly signatureExpiresAt: Date | null;
  /** The signed manifest, and its signature in base64; null if it has none. */
  readonly manifest: string | null;
  readonly manifestSignature: string | null;
  readonly image: object;
  readonly warnings: readonly object[];
  readonly uploadedKey: string;
  readonly uploadedVersion: string;
}

/**
 * Fixes the chip of a model with its first release.
 * @returns the chip of the model: this one, or that of an earlier release
 */
export async function fixModelChip(sql: Sql, deviceModel: string, chip: string): Promise<string> {
  await sql.query('INSERT INTO model_chips (device_model, chip) VALUES (:model, :chip) ON CONFLICT DO NOTHING', {
    model: deviceModel,
    chip,
  });
  const [row] = await select(
    sql,
    z.strictObject({ chip: z.string() }),
    'SELECT chip FROM model_chips WHERE device_model = :model',
    {
      model: deviceModel,
    },
  );
  return row?.chip ?? chip;
}

const signedRelease = z.strictObject({
  version: z.string(),
  checksum_sha256: z.string(),
  min_version: z.string().nullable(),
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
});

/** The bytes of a registered release, and what its signature was found to be. */
export type SignedRelease = RowOf<typeof signedRelease>;

/**
 * The release of a version, which may be registered in another spelling: `v1.2.0` and `1.2.0` are one version. Undefined if
 * it is not registered.
 */
export async function findSignedRelease(
  sql: Sql,
  deviceModel: string,
  version: string,
): Promise<SignedRelease | undefined> {
  const [row] = await select(
    sql,
    signedRelease,
    `SELECT version, checksum_sha256, min_version, signing_key, signature_expires_at FROM firmware_releases
     WHERE device_model = :model AND ltrim(version, 'vV') = ltrim(:version, 'vV')
     ORDER BY version <> :version, id LIMIT 1`,
    { model: deviceModel, version },
  );
  return row;
}

/** The project that the first signed release of a model embeds; undefined if there is none. */
export async function findSignedProject(sql: Sql, deviceModel: string): Promise<string | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ project_name: z.string() }),
    `SELECT project_name FROM firmware_releases WHERE device_model = :model AND is_signed AND project_name IS NOT NULL
     ORDER BY id LIMIT 1`,
    { model: deviceModel },
  );
  return row?.project_name;
}

const earlierImage = z.strictObject({
  sizeBytes: z.int(),
  projectName: z.string().nullable(),
  idfVersion: z.string().nullable(),
  secureVersion: z.int().nullable(),
  minChipRevision: z.int().nullable(),
  flashMode: z.string().nullable(),
  flashBytes: z.int().nullable(),
  blockKeys: z.array(z.string()),
  signingKey: z.string().nullable(),
});

/**
 * The release of a model with which another version is compared: the one before it, that was not revoked. Undefined if
 * there is none.
 */
export async function findEarlierImage(
  sql: Sql,
  deviceModel: string,
  version: string,
): Promise<EarlierImage | undefined> {
  const earlier = earlierOf(version, await loadRegisteredReleases(sql, deviceModel));
  if (earlier === undefined) return undefined;
  const [row] = await select(
    sql,
    earlierImage,
    `SELECT file_size AS "sizeBytes", project_name AS "projectName", image #>> '{descriptor,idfVersion}' AS "idfVersion",
       (image #>> '{descriptor,secureVersion}')::bigint AS "secureVersion",
       (image ->> 'minChipRevision')::integer AS "minChipRevision", image ->> 'flashMode' AS "flashMode",
       (image ->> 'flashBytes')::bigint AS "flashBytes",
       jsonb_path_query_array(image, '$.signatureBlocks[*].keyDigest') AS "blockKeys", signing_key AS "signingKey"
     FROM firmware_releases WHERE id = :id`,
    { id: earlier.id },
  );
  return row && { version: earlier.version, ...row };
}

/** The projects that the releases of a model embed; revoked releases do not count. */
export async function listProjects(sql: Sql, deviceModel: string): Promise<string[]> {
  const rows = await select(
    sql,
    z.strictObject({ project_name: z.string() }),
    `SELECT project_name FROM firmware_releases
     WHERE device_model = :model AND project_name <> '' AND revoked_at IS NULL
     GROUP BY project_name ORDER BY min(id)`,
    { model: deviceModel },
  );
  return rows.map(({ project_name: name }) => name);
}

/**
 * Stores a release. One that was rejected before keeps who uploaded it, which only the first event of an upload says.
 * @returns false if the model already has this version, which is left unchanged
 */
export async function insertRelease(sql: Sql, release: NewRelease, now: Date): Promise<boolean> {
  const rows = await sql.query(
    `INSERT INTO firmware_releases (version, device_model, object_key, file_size, checksum_sha256, chip, project_name,
       app_version, min_version, changelog, release_notes, is_signed, signing_key, signature_expires_at, manifest, manifest_signature, image,
       warnings, uploaded_key, requested_by, put_by, put_from, created_at)
     SELECT version, "deviceModel", "objectKey", "sizeBytes", sha256, chip, "projectName", "appVersion", "minVersion",
       changelog, "releaseNotes", "isSigned", "signingKey", "signatureExpiresAt", manifest, "manifestSignature", image, warnings,
       "uploadedKey", coalesce("requestedBy", rejected.requested_by), coalesce("putBy", rejected.put_by),
       coalesce("putFrom", rejected.put_from), :now::timestamptz
     FROM jsonb_to_record(:release::jsonb) AS r(version text, "deviceModel" text, "objectKey" text, "sizeBytes" bigint,
       sha256 text, chip text, "projectName" text, "appVersion" text, "minVersion" text, changelog text,
       "releaseNotes" text, "isSigned" boolean, "signingKey" text, "signatureExpiresAt" timestamptz, manifest text,
       "manifestSignature" text, image jsonb, warnings jsonb, "uploadedKey" text,
       "uploadedVersion" text, "requestedBy" text, "putBy" text, "putFrom" text)
     LEFT JOIN (SELECT object_key, object_version, requested_by, put_by, put_from FROM rejected_uploads) AS rejected
       ON rejected.object_key = "uploadedKey" AND rejected.object_version = "uploadedVersion"
     ON CONFLICT DO NOTHING
     RETURNING id`,
    { release, now },
  );
  return rows.length > 0;
}

/**
 * The release of a model with the highest anti-rollback counter. Revoked releases count, because a device may have
 * burned their counter into its eFuse.
 */
export async function findHighestSecureVersion(
  sql: Sql,
  deviceModel: string,
): Promise<HighestSecureVersion | undefined> {
  const [row] = await select(
    sql,
    z.strictObject({ version: z.string(), secureVersion: z.int() }),
    `SELECT version, (image #>> '{descriptor,secureVersion}')::bigint AS "secureVersion" FROM firmware_releases
     WHERE device_model = :model AND image #>> '{descriptor,secureVersion}' IS NOT NULL
     ORDER BY "secureVersion" DESC, id LIMIT 1`,
    { model: deviceModel },
  );
  return row;
}

/**
 * Records a signature that was uploaded after its image. It replaces only one that is not trusted any more, has expired,
 * or expires earlier, and a signature in the image that came without a manifest.
 * @param trusted digests of the keys that the model trusts
 * @returns false if the release keeps the signature that it has, or has other bytes
 */
export async function storeSignature(sql: Sql, release: NewRelease, trusted: readonly string[]): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE firmware_releases AS f SET is_signed = true, image = r.image, warnings = r.warnings,
       signing_key = r."signingKey", signature_expires_at = r."signatureExpiresAt", manifest = r.manifest,
       manifest_signature = r."manifestSignature"
     FROM jsonb_to_record(:release::jsonb) AS r("deviceModel" text, version text, sha256 text, image jsonb, warnings jsonb,
       "signingKey" text, "signatureExpiresAt" timestamptz, manifest text, "manifestSignature" text)
     WHERE f.device_model = r."deviceModel" AND f.version = r.version AND f.checksum_sha256 = r.sha256
       AND (f.signing_key IS NULL OR NOT :trusted::jsonb @> to_jsonb(f.signing_key)
         OR f.signature_expires_at < coalesce(r."signatureExpiresAt", 'infinity')
         OR f.manifest IS NULL AND r.manifest IS NOT NULL)
     RETURNING f.id`,
    { release, trusted },
  );
  return rows.length > 0;
}

/** Releases that one statement reads. */
const RELEASES_PER_PAGE = 1_000;

export const releaseOfModel = z.strictObject({
  id: ID.release,
  version: z.string(),
  min_version: z.string().nullable(),
  signing_key: z.string().nullable(),
  signature_expires_at: z.date().nullable(),
});

/** A registered release, with what decides whether it may be a stepping stone. */
export type ReleaseOfModel = RowOf<typeof releaseOfModel>;

/**
 * The releases of a model that were not revoked, the newest first, with the minimum version that each requires.
 * @param until only releases up to this id; null: all
 */
export async function loadRegisteredReleases(
  sql: Sql,
  deviceModel: string,
  until: number | null = null,
): Promise<ReleaseOfModel[]> {
  const releases: ReleaseOfModel[] = [];
  for (let before = until === null ? null : until + 1; ; ) {
    const page = await select(
      sql,
      releaseOfModel,
      `SELECT id, version, min_version, signing_key, signature_expires_at FROM firmware_releases
       WHERE device_model = :model AND revoked_at IS NULL AND (:before::bigint IS NULL OR id < :before::bigint)
       ORDER BY id DESC LIMIT ${RELEASES_PER_PAGE}`,
      { model: deviceModel, before },
    );
    releases.push(...page);
    if (page.length < RELEASES_PER_PAGE) return releases;
    before = page.at(-1)?.id ?? null;
  }
}

export interface RejectedUpload extends Provenance {
  readonly objectKey: string;
  readonly objectVersion: string;
  readonly sizeBytes: number;
  readonly verdict: string;
  readonly message: string;
  readonly image: object;
  readonly uploadedAt: Date;
}

/**
 * Records why an upload did not become a release. An event that is delivered twice makes one row; a repeated
 * verification replaces the verdict and keeps who uploaded it.
 */
export async function recordRejectedUpload(sql: Sql, upload: RejectedUpload): Promise<void> {
  await sql.query(
    `INSERT INTO rejected_uploads (object_key, object_version, file_size, verdict, message, image, uploaded_at,
       requested_by, put_by, put_from)
     SELECT "objectKey", "objectVersion", "sizeBytes", verdict, message, image, "uploadedAt", "requestedBy", "putBy", "putFrom"
     FROM jsonb_to_record(:upload::jsonb) AS r("objectKey" text, "objectVersion" text, "sizeBytes" bigint, verdict text,
       message text, image jsonb, "uploadedAt" timestamptz, "requestedBy" text, "putBy" text, "putFrom" text)
     ON CONFLICT ON CONSTRAINT rejected_uploads_object_version_key DO UPDATE SET
       verdict = excluded.verdict, message = excluded.message, image = excluded.image,
       requested_by = coalesce(rejected_uploads.requested_by, excluded.requested_by),
       put_by = coalesce(rejected_uploads.put_by, excluded.put_by),
       put_from = coalesce(rejected_uploads.put_from, excluded.put_from)`,
    { upload },
  );
}

/** Deletes the rejection of an upload that has become a release since. */
export async function forgetRejectedUpload(sql: Sql, objectKey: string, objectVersion: string): Promise<void> {
  await sql.query('DELETE FROM rejected_uploads WHERE object_key = :key AND object_version = :version', {
    key: objectKey,
    version: objectVersion,
  });
}

/** The models that devices report, the most common first; at most 200. */
export async function listReportedModels(sql: Sql): Promise<string[]> {
  const rows = await select(
    sql,
    z.strictObject({ device_model: z.string() }),
    `SELECT device_model FROM version_counts GROUP BY device_model HAVING sum(devices) > 0
     ORDER BY sum(devices) DESC, device_model LIMIT 200`,
  );
  return rows.map(({ device_model: model }) => model);
}
