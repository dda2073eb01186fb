import { randomBytes } from 'node:crypto';
import * as routes from '../../api/releases.ts';
import { parseUploadKey, signatureKey, UPLOAD_TOKEN, uploadKey } from '../../core/protocol/index.ts';
import { refusePath, type SendableRelease } from '../../core/release-policy/index.ts';
import {
  findRejection,
  getRelease,
  listRejectedUploads,
  listReleases,
  recordUploadRequest,
  revokeRelease,
} from '../../core/releases/index.ts';
import { listSenders } from '../../core/rollouts/index.ts';
import { type App, json, type Services } from './context.ts';
import { decodeCursor, toPage } from './cursors.ts';
import { readReleaseHealth } from './health.ts';
import { invalid, notFound } from './problems.ts';
import { trustOf } from './stepping-stones.ts';

/** S3 stores metadata as HTTP headers. */
const HEADER_TEXT = /^[\x20-\x7e]*$/;

export function addReleaseRoutes(app: App, { sql, now, uploads, settings }: Services): void {
  const trust = trustOf(settings);
  const described = <T extends SendableRelease>(release: T) =>
    json({ ...release, untrusted_reason: trust.whyDistrusted(release.device_model, release, now()) });

  const releaseOf = async (model: string, version: string) => {
    const release = await getRelease(sql, model, version);
    if (release === undefined) throw notFound(`release ${version} for ${model}`);
    return { ...described(release), recoverable: await listSenders(sql, model, [version]) };
  };

  app.openapi(routes.listReleases, async (c) => {
    const { limit, cursor, model } = c.req.valid('query');
    const rows = await listReleases(sql, model, decodeCursor(cursor, 'number'), limit);
    return c.json(
      toPage(rows.map(described), limit, ({ release_id: id }) => id),
      200,
    );
  });

  app.openapi(routes.getRelease, async (c) => {
    const { device_model: model, version } = c.req.valid('param');
    return c.json(await releaseOf(model, version), 200);
  });

  app.openapi(routes.getReleaseHealth, async (c) => {
    const { device_model: model, version } = c.req.valid('param');
    await releaseOf(model, version);
    return c.json(await readReleaseHealth(sql, model, version), 200);
  });

  app.openapi(routes.revokeRelease, async (c) => {
    const { device_model: model, version } = c.req.valid('param');
    const { reason } = c.req.valid('json');
    await revokeRelease(sql, { model, version, reason, by: c.get('caller') }, now());
    return c.json(await releaseOf(model, version), 200);
  });

  app.openapi(routes.startUpload, async (c) => {
    const { device_model: model, version, file, allow = [], ...texts } = c.req.valid('json');
    const notes = { ...texts, ...(allow.length > 0 && { allow: allow.join(',') }) };
    const imageKey = uploadKey(version, model);
    const key = file === 'signature' ? signatureKey(imageKey) : imageKey;
    if (parseUploadKey(imageKey) === undefined) {
      const [field, value] = parseUploadKey(uploadKey(version, 'm')) ? ['device_model', model] : ['version', version];
      throw invalid(field, `"${value}" is not valid in an object key; use letters, digits and . _ + -`);
    }
    const refused = refusePath(imageKey);
    if (refused !== undefined) throw invalid('device_model', refused.message);
    const metadata = Object.entries(notes).map(([field, value = '']) => {
      if (!HEADER_TEXT.test(value))
        throw invalid(field, 'must be printable ASCII on one line, because S3 stores it as a header');
      return [field.replaceAll('_', '-'), value];
    });
    const token = randomBytes(32).toString('base64url');
    await recordUploadRequest(sql, { token, objectKey: key, requestedBy: c.get('caller') }, now());
    const { url, headers } = await uploads.presign(key, { ...Object.fromEntries(metadata), [UPLOAD_TOKEN]: token });
    return c.json({ upload_url: url, headers, object_key: key }, 201);
  });

  app.openapi(routes.uploadOutcome, async (c) => {
    const { device_model: model, version } = c.req.valid('param');
    const { since, sha256 } = c.req.valid('query');
    const [release, rejection] = await Promise.all([
      getRelease(sql, model, version),
      findRejection(sql, uploadKey(version, model), since),
    ]);
    const registered = {
      state: 'registered' as const,
      release: release === undefined ? null : described(release),
      rejection: null,
    };
    // Checked first, because an earlier attempt within the same second may have been rejected.
    if (sha256 !== undefined && release?.checksum_sha256 === sha256) return c.json(registered, 200);
    if (rejection !== undefined)
      return c.json({ state: 'rejected' as const, release: null, rejection: json(rejection) }, 200);
    const isNew = sha256 === undefined && release !== undefined && release.created_at >= new Date(since);
    return c.json(isNew ? registered : { state: 'waiting' as const, release: null, rejection: null }, 200);
  });

  app.openapi(routes.listRejectedUploads, async (c) => {
    const { limit, cursor } = c.req.valid('query');
    const rows = await listRejectedUploads(sql, decodeCursor(cursor, 'number'), limit);
    return c.json(
      toPage(json(rows), limit, ({ id }) => id),
      200,
    );
  });

  app.openapi(routes.rescanUpload, async (c) => {
    const { object_key: key } = c.req.valid('json');
    if (parseUploadKey(key) === undefined)
      throw invalid('object_key', `"${key}" is not of the form firmware/{version}/{model}.bin`);
    if (!(await uploads.rescan(key, now()))) throw notFound(`object ${key}`);
    return c.json({ object_key: key }, 202);
  });
}
