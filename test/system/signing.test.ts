import { createHash, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ReleaseManifest, signManifest } from '../../core/image/index.ts';
import { buildImage, type ImageOptions } from '../../fleet/build-image.ts';
import { synthesize } from '../../local/start/index.ts';
import { CapturedFirmware } from '../support/captured-firmware.ts';
import { Cli } from '../support/cli.ts';
import { GrantRecorder } from '../support/grant-recorder.ts';
import { signingKeys } from '../support/signing-keys.ts';
import { startTestSystem, TestEnvironment, type TestSystem } from '../support/system.ts';

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
    bus: { chip, requireSignedFirmware: true },
    named: { chip, requireSignedFirmware: true, projectName: 'named-firmware' },
    boot: { chip, requireSignedFirmware: true, trustedPublicKeys: [] },
    checked: { chip, requireSignedFirmware: true },
    'esp32-s3': { chip, requireSignedFirmware: true },
    free: { chip },
    lenient: { chip, allowLowerSecureVersion: true },
  },
};
const assemblies = mkdtempSync(join(tmpdir(), 'paku-ota-assemblies-'));

const grants = new GrantRecorder();
let environment: TestEnvironment;
let system: TestSystem;
beforeAll(async () => {
  environment = await TestEnvironment.make({ migrated: false });
  await deploy('first', SETTINGS);
});
afterAll(async () => {
  await environment?.switchOff();
  await system?.close();
  await environment?.remove();
  rmSync(assemblies, { recursive: true, force: true });
});

/** Starts the system with these settings; it keeps its data, ports and devices. */
async function deploy(name: string, settings: object): Promise<void> {
  const assembly = join(assemblies, name);
  await synthesize(assembly, settings);
  system = await startTestSystem(assembly, {}, undefined, grants, environment);
}

const keyOf = (model: string, version: string) => `firmware/${version}/${model}.bin`;

/** Uploads an image that embeds the version. @returns its bytes */
async function upload(model: string, version: string, options: ImageOptions = {}): Promise<Buffer> {
  const image = buildImage({ version, codeBytes: 4_000, ...options });
  await system.upload(keyOf(model, version), image);
  return image;
}
const uploadSignature = (model: string, version: string, signature: Uint8Array) =>
  system.upload(`${keyOf(model, version)}.sig`, signature);

/** The signature file of an image: its manifest, with what is changed of it. */
function signed(
  image: Buffer,
  [model, version]: readonly [model: string, version: string],
  key: KeyObject = p256.privateKey,
  changes: Partial<ReleaseManifest> = {},
): Buffer {
  const facts = { model, version, sha256: sha256(image).toString('hex'), size: image.length };
  const manifest = { ...facts, secureVersion: 0, minVersion: null, expires: null, ...changes };
  return Buffer.from(signManifest(manifest, key));
}

const rejection = (model: string, version: string, verdict: string) =>
  system.until<{ verdict: string; message: string }>(
    `SELECT verdict, message FROM rejected_uploads WHERE object_key = '${keyOf(model, version)}'`,
    (row) => row.verdict === verdict,
  );

interface Release {
  readonly is_signed: boolean;
  readonly warnings: { code: string; message: string }[];
  readonly image: { signedBy: object | null };
  readonly min_version: string | null;
  readonly signature_expires_at: Date | null;
  readonly manifest: string | null;
}
const release = (model: string, version: string, condition?: (row: Release) => boolean) =>
  system.until<Release>(
    `SELECT is_signed, warnings, image, min_version, signature_expires_at, manifest FROM firmware_releases WHERE device_model = '${model}' AND version = '${version}'`,
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
    writeFileSync(beside, signed(image, ['van', '1.5.0']));
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

describe('a signed manifest', () => {
  test('that arrives after its image was rejected for its lack makes the image a release', async () => {
    const image = await upload('van', '1.0.0');
    expect((await rejection('van', '1.0.0', 'UNSIGNED')).message).toContain('its name and .sig');
    await uploadSignature('van', '1.0.0', signed(image, ['van', '1.0.0']));
    expect(await release('van', '1.0.0')).toMatchObject({
      is_signed: true,
      warnings: [],
      image: { signedBy: { kind: 'manifest', scheme: 'ECDSA-P256' } },
    });
    await system.until(
      `SELECT count(*)::integer AS n FROM rejected_uploads WHERE object_key = '${keyOf('van', '1.0.0')}'`,
      ({ n }: { n: number }) => n === 0,
    );
  });

  test('can arrive before its image, has no effect alone, and decides the minimum version', async () => {
    const image = buildImage({ version: '1.1.0', codeBytes: 4_000 });
    const expires = new Date('2099-01-01T00:00:00Z');
    const file = signed(image, ['van', '1.1.0'], ed25519.privateKey, { minVersion: '1.0.0', expires });
    await uploadSignature('van', '1.1.0', file);
    await system.upload(keyOf('van', '1.1.0'), image);
    expect(await release('van', '1.1.0')).toMatchObject({
      is_signed: true,
      image: { signedBy: { kind: 'manifest', scheme: 'Ed25519' } },
      min_version: '1.0.0',
      signature_expires_at: expires,
      manifest: expect.stringMatching(/^paku-ota-release-1 model=van version=1\.1\.0 .* expires=2099-01-01T00:00:00Z$/),
    });
  });

  test('by another key, over the bytes alone or too long is rejected until the right one arrives', async () => {
    const image = await upload('van', '1.2.0');
    await uploadSignature('van', '1.2.0', signed(image, ['van', '1.2.0'], otherP256.privateKey));
    const { message } = await rejection('van', '1.2.0', 'UNTRUSTED_SIGNATURE');
    expect(message).toContain('the manifest was not signed by a trusted key');
    await uploadSignature('van', '1.2.0', sign('sha256', image, p256.privateKey));
    await system.until<{ message: string }>(
      `SELECT message FROM rejected_uploads WHERE object_key = '${keyOf('van', '1.2.0')}'`,
      (row) => row.message.includes('is not a signed manifest'),
    );
    await uploadSignature('van', '1.2.0', Buffer.alloc(5_000));
    await uploadSignature('van', '1.2.0', signed(image, ['van', '1.2.0']));
    expect((await release('van', '1.2.0')).is_signed).toBe(true);
  });

  test.each<[what: string, model: string, version: string, changes: Partial<ReleaseManifest>, message: string]>([
    ['version', 'van', '9.9.9', { version: '1.0.0' }, 'states version 1.0.0, but the upload has 9.9.9'],
    ['model', 'bus', '1.0.0', { model: 'van' }, 'states model van, but the upload has bus'],
    ['size', 'van', '9.9.8', { size: 1 }, 'states size 1, but the upload has'],
    ['file', 'van', '9.9.7', { sha256: 'ab'.repeat(32) }, `states sha256 ${'ab'.repeat(32)}, but`],
    ['anti-rollback counter', 'van', '9.9.6', { secureVersion: 7 }, 'states secure_version 7, but the upload has 0'],
  ])('for another %s is rejected, although a trusted key signed it', async (_, model, version, changes, expected) => {
    const image = buildImage({ version: '1.0.0', codeBytes: 4_000 });
    await uploadSignature(model, version, signed(image, [model, version], p256.privateKey, changes));
    await system.upload(keyOf(model, version), image);
    expect((await rejection(model, version, 'SIGNED_FOR_OTHER')).message).toContain(expected);
  });

  test('for another minimum version than the uploader states is rejected', async () => {
    const image = buildImage({ version: '9.9.5', codeBytes: 4_000 });
    await uploadSignature('van', '9.9.5', signed(image, ['van', '9.9.5'], p256.privateKey, { minVersion: '9.0.0' }));
    await system.upload(keyOf('van', '9.9.5'), image, { 'min-version': '1.0.0' });
    const { message } = await rejection('van', '9.9.5', 'SIGNED_FOR_OTHER');
    expect(message).toContain('states min_version 9.0.0, but the upload has 1.0.0');
  });

  test('that has expired is rejected', async () => {
    const image = buildImage({ version: '9.9.4', codeBytes: 4_000 });
    const expires = new Date('2020-01-01T00:00:00Z');
    await uploadSignature('van', '9.9.4', signed(image, ['van', '9.9.4'], p256.privateKey, { expires }));
    await system.upload(keyOf('van', '9.9.4'), image);
    expect((await rejection('van', '9.9.4', 'EXPIRED_SIGNATURE')).message).toContain('expired on 2020-01-01');
  });

  test('takes the place of one that expires earlier, and not of one that expires later', async () => {
    const image = buildImage({ version: '1.6.0', codeBytes: 4_000 });
    const until = (year: number) =>
      signed(image, ['van', '1.6.0'], p256.privateKey, { expires: new Date(`${year}-01-01T00:00:00Z`) });
    await uploadSignature('van', '1.6.0', until(2090));
    await system.upload(keyOf('van', '1.6.0'), image);
    await release('van', '1.6.0', (row) => row.signature_expires_at?.getUTCFullYear() === 2090);
    await uploadSignature('van', '1.6.0', until(2095));
    await release('van', '1.6.0', (row) => row.signature_expires_at?.getUTCFullYear() === 2095);
    await uploadSignature('van', '1.6.0', until(2091));
    // The queue delivers in order to two environments, so the signature was handled before the second of these uploads.
    await upload('free', '8.0.0');
    await upload('free', '8.0.1');
    await release('free', '8.0.1');
    expect((await release('van', '1.6.0')).signature_expires_at?.getUTCFullYear()).toBe(2095);
  });

  test('that arrives after its image was registered unsigned makes the release signed', async () => {
    const image = await upload('free', '1.0.0');
    expect(await release('free', '1.0.0')).toMatchObject({
      is_signed: false,
      warnings: [{ code: 'UNSIGNED', message: expect.stringContaining(rsaDigest) }],
      image: { signedBy: null },
    });
    await uploadSignature('free', '1.0.0', signed(image, ['free', '1.0.0']));
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

describe('an image that a trusted key signed for secure boot', () => {
  test('is rejected under another version than it embeds', async () => {
    await upload('boot', '9.9.9', { version: '1.0.0', signWith: [rsa.privateKey] });
    const { message } = await rejection('boot', '9.9.9', 'SIGNED_FOR_OTHER');
    expect(message).toContain('embeds the version "1.0.0", but is uploaded as 9.9.9');
  });

  test('is rejected for a model whose images embed another project', async () => {
    await upload('named', '1.0.0', { signWith: [rsa.privateKey], project: 'toaster' });
    const { message } = await rejection('named', '1.0.0', 'SIGNED_FOR_OTHER');
    expect(message).toContain('embeds the project "toaster", but images of the model embed "named-firmware"');
    await upload('boot', '1.2.0', { signWith: [rsa.privateKey], project: 'toaster' });
    await rejection('boot', '1.2.0', 'SIGNED_FOR_OTHER');
  });
});

test('an image that another key signed is registered as unsigned if signatures are not required', async () => {
  await upload('free', '1.1.0', { signWith: [otherP256.privateKey] });
  expect(await release('free', '1.1.0')).toMatchObject({
    is_signed: false,
    warnings: [
      { code: 'OTHER_SIZE' },
      { code: 'OTHER_SIGNING_KEY' },
      { code: 'UNTRUSTED_SIGNATURE', message: expect.stringContaining(foreignDigest) },
    ],
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

describe('firmware that verifies the manifest', () => {
  const outcomes = (deviceId: string) =>
    system.until<{ status: string; error_message: string | null }>(
      `SELECT status, error_message FROM device_update_status WHERE device_id = '${deviceId}' AND result_code IS NOT NULL`,
    );

  test('installs a release that was signed with the command line, and refuses one of another key', async () => {
    const key = join(system.home, 'release-key.pem');
    const file = join(system.home, 'signed.bin');
    writeFileSync(key, p256.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(file, buildImage({ version: '3.0.0', codeBytes: 4_000 }));
    const device = { model: 'checked', firmwareVersion: '0.9.0', mac: 'A0:B7:65:20:E9:56' };
    await system.device({ ...device, deviceId: 'verifying', manifestKey: pem(p256.publicKey) });
    const other = { mac: 'A0:B7:65:20:E9:57', manifestKey: pem(otherP256.publicKey) };
    await system.device({ ...device, ...other, deviceId: 'distrusting' });
    await system.until<{ n: number }>(
      `SELECT count(*)::integer AS n FROM devices WHERE device_model = 'checked'`,
      ({ n }) => n === 2,
    );
    const cli = new Cli(system.home);
    await cli.run('release', 'sign', file, '--model', 'checked', '--key', key, '--expires', '2099-01-01');
    await cli.run('release', 'add', file, '--model', 'checked', '--signature', `${file}.sig`);
    await system.database.query(
      `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages) VALUES ('verified', '3.0.0', 'checked', '[]')`,
    );
    await system.runtime.tick();
    expect((await outcomes('verifying')).status).toBe('success');
    expect((await outcomes('distrusting')).error_message).toContain('verification failed (3)');
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

test('the next deployment withdraws a key that its settings do not have: no device gets what that key signed', async () => {
  const image = await upload('esp32-s3', '2.0.0');
  await uploadSignature('esp32-s3', '2.0.0', signed(image, ['esp32-s3', '2.0.0']));
  await release('esp32-s3', '2.0.0', ({ is_signed }) => is_signed);
  const window = await new CapturedFirmware(system, '1.4.2', 'withdrawn-1').openWindow();
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'withdrawn-1'`);
  await system.database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages) VALUES ('withdrawn', '2.0.0', 'esp32-s3', '[{"count": 1}]')`,
  );
  await system.runtime.tick();
  const { url } = await window.command;
  expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
  await window.close();
  await system.close();

  await deploy('second', { ...SETTINGS, trustedPublicKeys: [pem(otherP256.publicKey)] });
  expect((await fetch(url, { redirect: 'manual' })).status).toBe(410);
  await system.runtime.tick();
  const { reason } = await system.until<{ reason: string }>(
    `SELECT paused_reason AS reason FROM rollout_configurations WHERE name = 'withdrawn' AND paused_at IS NOT NULL`,
  );
  expect(reason).toMatch(/^release 2\.0\.0 is not trusted: its signing key [0-9a-f]{64} was withdrawn$/);
  // A deployment synthesizes the templates, which takes minutes on a busy machine.
}, 300_000);
