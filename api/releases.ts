import { createRoute, z } from '@hono/zod-openapi';
import { OVERRIDABLE } from '../core/release-policy/index.ts';
import {
  answer,
  jsonBody,
  model,
  name,
  pageOf,
  pageQuery,
  pathName,
  reasonBody,
  refusals,
  timestamp,
} from './common.ts';
import { senders } from './senders.ts';

export const warning = z.object({ code: z.string(), message: z.string() });

export const releaseSchema = z
  .object({
    release_id: z.number().int(),
    device_model: z.string(),
    version: z.string(),
    chip: z.string(),
    file_size: z.number().int().describe('Bytes.'),
    checksum_sha256: z.string(),
    project_name: z.string().nullable(),
    app_version: z.string().nullable().describe('The version embedded in the image.'),
    min_version: z.string().nullable(),
    changelog: z.string().nullable(),
    is_signed: z.boolean(),
    signing_key: z.string().nullable().describe('Digest of the key that signed it; null: no trusted key did.'),
    signature_expires_at: timestamp.nullable().describe('null: its signature has no end.'),
    untrusted_reason: z
      .string()
      .nullable()
      .describe(
        'Why it is not sent now, although it is registered: its key was withdrawn, its signature expired, or it has none where signatures are required; null: it is trusted.',
      ),
    warnings: z.array(warning),
    created_at: timestamp,
    revoked_at: timestamp.nullable(),
    revoked_reason: z.string().nullable(),
    devices: z.number().int().describe('Devices of the model that run this version.'),
  })
  .openapi('Release');
export type Release = z.infer<typeof releaseSchema>;

/** Who uploaded an object. */
const provenance = {
  requested_by: z
    .string()
    .nullable()
    .describe('IAM ARN of the caller who asked this API for the upload; null: it was put into S3 directly.'),
  put_by: z
    .string()
    .nullable()
    .describe('AWS account or AWS service that put the object into S3, as S3 says; null: not known.'),
  put_from: z
    .string()
    .nullable()
    .describe('IP address from which the object was put into S3, as S3 says; null: not known.'),
};

export const releaseDetailSchema = releaseSchema
  .extend({
    release_notes: z.string().nullable(),
    uploaded_key: z.string().nullable(),
    ...provenance,
    revoked_by: z.string().nullable(),
    manifest: z.string().nullable().describe('The text that was signed; null: it has no manifest.'),
    manifest_signature: z.string().nullable().describe('Its signature, in base64.'),
    recoverable: senders,
    image: z.record(z.string(), z.unknown()).describe('The image as it was parsed: header, segments, descriptor.'),
  })
  .openapi('ReleaseDetail');
export type ReleaseDetail = z.infer<typeof releaseDetailSchema>;

export const versionHealthSchema = z
  .object({
    firmware_version: z.string(),
    devices: z.number().int().describe('Devices that run it.'),
    restarts: z
      .number()
      .int()
      .describe('Restarts on it, also of devices that have left it; the reboot of an update does not count.'),
    device_hours: z.number().describe('Exposure: hours for which devices were seen to run it.'),
    restarts_per_device_hour: z.number().nullable().describe('null: no exposure.'),
    heard_of: z.number().int().describe('Devices on it that were heard of in the last seven days.'),
    silent: z.number().int().describe('Of those, devices that have missed five of their usual reports.'),
    share_silent: z.number().nullable().describe('null: no device was heard of.'),
  })
  .openapi('VersionHealth');
export type VersionHealth = z.infer<typeof versionHealthSchema>;

export const releaseHealthSchema = z
  .object({
    version: versionHealthSchema,
    before: z
      .union([versionHealthSchema, z.null()])
      .describe('The version that most devices ran before the newest rollout of this release; null: not known.'),
  })
  .openapi('ReleaseHealth');
export type ReleaseHealth = z.infer<typeof releaseHealthSchema>;

export const rejectedUploadSchema = z
  .object({
    object_key: z.string(),
    object_version: z.string(),
    file_size: z.number().int(),
    verdict: z.string(),
    message: z.string(),
    image: z.record(z.string(), z.unknown()),
    uploaded_at: timestamp,
    ...provenance,
  })
  .openapi('RejectedUpload');
export type RejectedUpload = z.infer<typeof rejectedUploadSchema>;

export const startedUploadSchema = z
  .object({
    upload_url: z.string().describe('Presigned URL: PUT the file there, with `headers`, within 15 minutes.'),
    headers: z.record(z.string(), z.string()),
    object_key: z.string(),
  })
  .openapi('StartedUpload');
export type StartedUpload = z.infer<typeof startedUploadSchema>;

export const uploadOutcomeSchema = z
  .object({
    state: z.enum(['waiting', 'registered', 'rejected']),
    release: z.union([releaseSchema, z.null()]),
    rejection: z.union([rejectedUploadSchema, z.null()]),
  })
  .openapi('UploadOutcome');
export type UploadOutcome = z.infer<typeof uploadOutcomeSchema>;

const params = z.object({ device_model: pathName, version: pathName });

export const newUpload = z.strictObject({
  device_model: model,
  version: name,
  file: z
    .enum(['image', 'signature'])
    .default('image')
    .describe('`signature`: the signature file of the image (`paku-ota release sign`), to be uploaded before it.'),
  min_version: name.optional(),
  changelog: z.string().max(1000).optional(),
  release_notes: z.string().max(1000).optional(),
  allow: z
    .array(z.enum(OVERRIDABLE))
    .optional()
    .describe('Refusals to override, by their verdict: `OTHER_PROJECT` if the project of the image has a new name.'),
});

export type NewUpload = z.input<typeof newUpload>;

export const listReleases = createRoute({
  method: 'get',
  path: '/v1/releases',
  tags: ['Releases'],
  summary: 'Releases, newest first',
  request: { query: z.strictObject({ model: model.optional(), ...pageQuery }) },
  responses: { 200: answer('A page', pageOf('ReleasePage', releaseSchema)), ...refusals() },
});

export const getRelease = createRoute({
  method: 'get',
  path: '/v1/releases/{device_model}/{version}',
  tags: ['Releases'],
  summary: 'One release with its parsed image',
  request: { params },
  responses: { 200: answer('The release', releaseDetailSchema), ...refusals(404) },
});

export const getReleaseHealth = createRoute({
  method: 'get',
  path: '/v1/releases/{device_model}/{version}/health',
  tags: ['Releases'],
  summary: 'Release health: restarts and silence of the fleet, beside the version before',
  request: { params },
  responses: { 200: answer('The health', releaseHealthSchema), ...refusals(404) },
});

export const revokeRelease = createRoute({
  method: 'post',
  path: '/v1/releases/{device_model}/{version}/revoke',
  tags: ['Releases'],
  summary: 'Revoke a release: no more devices receive it, its download links stop working, its rollouts halt',
  request: { params, body: jsonBody(reasonBody) },
  responses: {
    200: answer('The revoked release, with the rollouts whose recovery sends its devices back', releaseDetailSchema),
    ...refusals(404),
  },
});

export const startUpload = createRoute({
  method: 'post',
  path: '/v1/uploads',
  tags: ['Releases'],
  summary: 'Get a URL to upload an image, or its signature file, to',
  request: { body: jsonBody(newUpload) },
  responses: { 201: answer('Where to PUT the file', startedUploadSchema), ...refusals() },
});

export const uploadOutcome = createRoute({
  method: 'get',
  path: '/v1/uploads/{device_model}/{version}',
  tags: ['Releases'],
  summary: 'The outcome of an upload since a time: registered, rejected with its verdict, or waiting',
  request: {
    params,
    query: z.strictObject({
      since: timestamp,
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional(),
    }),
  },
  responses: { 200: answer('The outcome', uploadOutcomeSchema), ...refusals() },
});

export const listRejectedUploads = createRoute({
  method: 'get',
  path: '/v1/rejected-uploads',
  tags: ['Releases'],
  summary: 'Uploads that did not become a release, newest first, with their verdicts',
  request: { query: z.strictObject(pageQuery) },
  responses: { 200: answer('A page', pageOf('RejectedUploadPage', rejectedUploadSchema)), ...refusals() },
});

export const rescanUpload = createRoute({
  method: 'post',
  path: '/v1/uploads/rescan',
  tags: ['Releases'],
  summary: 'Verify an upload again, for example after the settings of its model changed',
  request: { body: jsonBody(z.strictObject({ object_key: z.string().min(1).max(1024) })) },
  responses: { 202: answer('The upload is being verified', z.object({ object_key: z.string() })), ...refusals(404) },
});
