import { createHash, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImage, type ImageOptions } from '../../fleet/build-image.ts';
import { synthesize } from '../../local/start/index.ts';
import { Cli } from '../support/cli.ts';
import { GrantRecorder } from '../support/grant-recorder.ts';
import { signingKeys } from '../support/signing-keys.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';

const { rsa, p256, otherP256, ed25519 } = signingKeys();
const chip = 'ESP32-S3';
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const digestOf = (signed: Buffer, from: number, to: number) =>
  sha256(signed.subarray(signed.length - 4_096).subarray(from, to)).toString('hex');
const rsaDigest = digestOf(buildImage({ signWith: [rsa.privateKey] }), 36, 812);
const foreignDigest = digestOf(buildImage({ signWith: [otherP256.privateKey] }), 36, 101);
const SETTINGS = {
  trustedKeyDigests: [rsaDigest],
  trustedPublicKeys: [pem(p256.publicKey), pem(ed25519.publicKey)],
  models: {
    van: { chip, requireSignedFirmware: true },
    boot: { chip, requireSignedFirmware: true, trustedPublicKeys: [] },
    free: { chip },
    lenient: { chip, allowLowerSecureVersion: true },
  },
};
const assembly = mkdtempSync(join(tmpdir(), 'paku-ota-assembly-'));

const grants = new GrantRecorder();
let system: TestSystem;
beforeAll(async () => {
  await synthesize(assembly, SETTINGS);
  system = await startTestSystem(assembly, {}, undefined, grants);
});
afterAll(async () => {
  await system?.close();
  rmSync(assembly, { recursive: true, force: true });
});

const keyOf = (model: string, version: string) => `firmware/${version}/${model}.bin`;

/** Uploads an image that embeds the version. @returns its bytes */
async function upload(model: string, version: string, options: ImageOptions = {}): Promise<Buffer> {
  const image = buildImage({ version, codeBytes: 4_000, ...options });
  await system.upload(keyOf(model, version), image);
  return image;
}
const uploadSignature = (model: string, version: string, signature: Uint8Array) =>
  system.upload(`${keyOf(model, version)}.sig`, signature);

const rejection = (model: string, version: string, verdict: string) =>
  system.until<{ verdict: string; message: string }>(
    `SELECT verdict, message FROM rejected_uploads WHERE object_key = '${keyOf(model, version)}'`,
    (row) => row.verdict === verdict,
  );

interface Release {
  readonly is_signed: boolean;
  readonly warnings: { code: string; message: string }[];
  readonly image: { signedBy: object | null };
}
const release = (model: string, version: string, condition?: (row: Release) => boolean) =>
  system.until<Release>(
    `SELECT is_signed, warnings, image FROM firmware_releases WHERE device_model = '${model}' AND version = '${version}'`,
    condition,
  );

describe('a model that requires signed firmware', () => {
  test('registers an image that an operator adds together with its signature', async () => {
    const image = buildImage({ version: '1.5.0', codeBytes: 4_000 });
    const [file, beside] = ['firmware.bin', 'firmware.bin.sig'].map((name) => join(system.home, name)) as [
      string,
      string,
    ];
    writeFileSync(file, image);
    writeFileSync(beside, sign('sha256', image, p256.privateKey));
    const cli = new Cli(system.home);
    expect(await cli.print('release', 'add', file, '--model', 'van', '--signature', beside)).toBe(
      'registered  van 1.5.0, ESP32-S3, 4 KiB\n',
    );
    expect(await cli.json('release', 'show', 'van', '1.5.0')).toMatchObject({ is_signed: true });
    expect(await cli.run('release', 'add', file, '--model', 'van', '--signature', file)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('at most 1024 are possible: is it the right file?'),
    });
  });

  test('rejects an unsigned image, and the message lists the trusted keys', async () => {
    await upload('boot', '1.0.0');
    const { message } = await rejection('boot', '1.0.0', 'UNSIGNED');
    expect(message).toContain(`the image is not signed; trusted are secure boot keys ${rsaDigest}`);
    expect(message).not.toContain('.sig');
  });

  test('rejects an image that another key signed, and the message names the key', async () => {
    await upload('boot', '1.0.1', { signWith: [otherP256.privateKey] });
    const { message } = await rejection('boot', '1.0.1', 'UNTRUSTED_SIGNATURE');
    expect(message).toContain(`signed by ECDSA-P256 key ${foreignDigest}; trusted are secure boot keys ${rsaDigest}`);
  });

  test('rejects an image that was changed after it was signed', async () => {
    const image = buildImage({ version: '1.0.2', codeBytes: 4_000, signWith: [rsa.privateKey] });
    image.writeUInt8(image.readUInt8(image.length - 4_096 + 900) ^ 1, image.length - 4_096 + 900);
    await system.upload(keyOf('boot', '1.0.2'), image);
    await rejection('boot', '1.0.2', 'SIGNATURE_CRC');
  });

  test('registers an image that a trusted key signed, also together with another key, and its devices get it', async () => {
    await system.device({ deviceId: 'signed-van', model: 'boot', firmwareVersion: '1.0.0' });
    await upload('boot', '1.1.0', { signWith: [otherP256.privateKey, rsa.privateKey] });
    expect(await release('boot', '1.1.0')).toMatchObject({
      is_signed: true,
      warnings: [],
      image: { signedBy: { kind: 'secure-boot-v2', scheme: 'RSA-3072', keyDigest: rsaDigest } },
    });
    await system.until(`SELECT 1 FROM devices WHERE device_id = 'signed-van'`);
    await system.database.query(
      `INSERT INTO rollout_configurations (name, firmware_version, device_model) VALUES ('signed', '1.1.0', 'boot')`,
    );
    await system.runtime.tick();
    await system.until(`SELECT 1 FROM device_update_status WHERE device_id = 'signed-van' AND booted_at IS NOT NULL`);
  });
});

describe('a detached signature', () => {
  test('that arrives after its image was rejected for its lack makes the image a release', async () => {
    const image = await upload('van', '1.0.0');
    expect((await rejection('van', '1.0.0', 'UNSIGNED')).message).toContain('its name and .sig');
    await uploadSignature('van', '1.0.0', sign('sha256', image, p256.privateKey));
    expect(await release('van', '1.0.0')).toMatchObject({
      is_signed: true,
      warnings: [],
      image: { signedBy: { kind: 'detached', scheme: 'ECDSA-P256' } },
    });
    await system.until(
      `SELECT count(*)::integer AS n FROM rejected_uploads WHERE object_key = '${keyOf('van', '1.0.0')}'`,
      ({ n }: { n: number }) => n === 0,
    );
  });

  test('can arrive before its image, and has no effect alone', async () => {
    const image = buildImage({ version: '1.1.0', codeBytes: 4_000 });
    await uploadSignature('van', '1.1.0', sign(null, sha256(image), ed25519.privateKey));
    await system.upload(keyOf('van', '1.1.0'), image);
    expect(await release('van', '1.1.0')).toMatchObject({
      is_signed: true,
      image: { signedBy: { kind: 'detached', scheme: 'Ed25519' } },
    });
  });

  test('by another key, for other bytes or too long is rejected until the right one arrives', async () => {
    const image = await upload('van', '1.2.0');
    await uploadSignature('van', '1.2.0', sign('sha256', image, otherP256.privateKey));
    const { message } = await rejection('van', '1.2.0', 'UNTRUSTED_SIGNATURE');
    expect(message).toContain('was not made for these bytes by a trusted key');
    await uploadSignature('van', '1.2.0', Buffer.alloc(5_000));
    await uploadSignature('van', '1.2.0', sign('sha256', image, p256.privateKey));
    expect((await release('van', '1.2.0')).is_signed).toBe(true);
  });

  test('that arrives after its image was registered unsigned makes the release signed', async () => {
    const image = await upload('free', '1.0.0');
    expect(await release('free', '1.0.0')).toMatchObject({
      is_signed: false,
      warnings: [{ code: 'UNSIGNED', message: expect.stringContaining(rsaDigest) }],
      image: { signedBy: null },
    });
    await uploadSignature('free', '1.0.0', sign('sha256', image, p256.privateKey));
    expect(await release('free', '1.0.0', ({ is_signed }) => is_signed)).toMatchObject({ warnings: [] });
  });

  test('is never recorded as a rejected upload', async () => {
    await uploadSignature('nobody', '9.9.9', Buffer.from('a signature of nothing'));
    await system.upload('misplaced.bin.sig', Buffer.from('a signature of nothing'));
    // The queue delivers in order to two environments, so both messages were handled before the second of these uploads.
    await upload('free', '9.0.0');
    await upload('free', '9.0.1');
    await release('free', '9.0.1');
    expect(await system.database.query(`SELECT 1 FROM rejected_uploads WHERE object_key LIKE '%.sig%'`)).toEqual([]);
  });
});

test('an image that another key signed is registered as unsigned if signatures are not required', async () => {
  await upload('free', '1.1.0', { signWith: [otherP256.privateKey] });
  expect(await release('free', '1.1.0')).toMatchObject({
    is_signed: false,
    warnings: [{ code: 'UNTRUSTED_SIGNATURE', message: expect.stringContaining(foreignDigest) }],
  });
});

describe('the anti-rollback counter', () => {
  test('does not decrease within a model', async () => {
    await upload('free', '2.0.0', { secureVersion: 3 });
    await release('free', '2.0.0');
    await upload('free', '2.1.0', { secureVersion: 2 });
    const { message } = await rejection('free', '2.1.0', 'LOWER_SECURE_VERSION');
    expect(message).toContain('secure_version of the image is 2, but 3 in release 2.0.0 for free');
    await upload('free', '2.1.1', { secureVersion: 3 });
    await release('free', '2.1.1');
  });

  test('can decrease if the model allows it, and is separate for each model', async () => {
    await upload('lenient', '2.0.0', { secureVersion: 3 });
    await release('lenient', '2.0.0');
    await upload('lenient', '2.1.0', { secureVersion: 2 });
    await release('lenient', '2.1.0');
  });
});

test('registering a release uses the permission that trusted keys add', () => {
  for (const grant of [
    'RegisterReleaseRole s3:GetObject firmwarebucket/firmware/*',
    'RegisterReleaseRole s3:ListBucket firmwarebucket',
  ]) {
    expect(grants.all).toContain(grant);
    expect(grants.unused).not.toContain(grant);
  }
});
