import { expect, test } from 'vitest';
import { inspectImage, type ParsedImage } from '../../../core/image/index.ts';
import {
  type EarlierImage,
  earlierOf,
  evaluateProject,
  warnOfDifferences,
} from '../../../core/release-policy/unlike-earlier.ts';
import { buildImage } from '../../../fleet/build-image.ts';

async function inspect(options: Parameters<typeof buildImage>[0] = {}): Promise<ParsedImage> {
  const bytes = buildImage({ codeBytes: 4_000, ...options });
  const kinds = { sizeBytes: bytes.length, allowWithoutDescriptor: true, acceptEsp8266: false };
  const { image } = await inspectImage(
    (async function* () {
      yield bytes;
    })(),
    kinds,
  );
  if (image === null) throw new Error('the image was not accepted');
  return image;
}

const image = await inspect();
const earlier: EarlierImage = {
  version: '1.0.0',
  sizeBytes: 1_000_000,
  projectName: 'paku-core',
  idfVersion: image.descriptor?.idfVersion ?? null,
  secureVersion: 0,
  minChipRevision: image.minChipRevision,
  flashMode: image.flashMode,
  flashBytes: image.flashBytes,
  blockKeys: [],
  signingKey: null,
};
const release = { version: '1.1.0', sizeBytes: 1_000_000, image, signedBy: null };
const descriptor = image.descriptor as NonNullable<ParsedImage['descriptor']>;
const key = { kind: 'manifest', scheme: 'ECDSA-P256', keyDigest: 'k1' } as const;

test('a release that is built like the one before it has no warning', () => {
  expect(warnOfDifferences(release, earlier)).toEqual([]);
});

test.each([
  ['HIGHER_MIN_CHIP_REVISION', { image: { ...image, minChipRevision: 300 } }, {}, 'v3.0, release 1.0.0 v0.0'],
  ['OTHER_FLASH_SIZE', { image: { ...image, flashBytes: 16 * 2 ** 20 } }, {}, '16 MB of flash, release 1.0.0 for 8 MB'],
  ['OTHER_FLASH_MODE', { image: { ...image, flashMode: 'QIO' } }, {}, 'QIO, release 1.0.0 for DIO'],
  [
    'OLDER_IDF',
    { image: { ...image, descriptor: { ...descriptor, idfVersion: 'v4.4.5' } } },
    { idfVersion: 'v5.1' },
    'v4.4.5',
  ],
  [
    'HIGHER_SECURE_VERSION',
    { image: { ...image, descriptor: { ...descriptor, secureVersion: 2 } } },
    { secureVersion: 1 },
    'secure_version 2, release 1.0.0 1',
  ],
  ['OTHER_SIZE', { sizeBytes: 1_500_001 }, {}, '1500001 bytes'],
  ['OTHER_SIZE', { sizeBytes: 600_000 }, {}, '600000 bytes'],
  ['BENCH_BUILD', { version: '1.1.0-rc.1' }, {}, 'pre-release'],
  ['BENCH_BUILD', { version: 'v1.0.0-3-g0a1b2c3-dirty' }, {}, 'uncommitted'],
  ['NO_PROJECT', { image: { ...image, descriptor: null } }, {}, 'paku-core'],
  ['NO_SIGNATURE', {}, { signingKey: 'k1' }, 'signed by key k1'],
  ['NO_SIGNATURE', {}, { blockKeys: ['k1'] }, 'signed by key k1'],
  ['OTHER_SIGNING_KEY', { signedBy: key }, { signingKey: 'k2' }, 'key k1, release 1.0.0 is signed by key k2'],
])('warns of %s', (code, changed, before, text) => {
  const warnings = warnOfDifferences({ ...release, ...changed }, { ...earlier, ...before });
  expect(warnings.map((warning) => warning.code)).toEqual([code]);
  expect(warnings[0]?.message).toContain(text);
});

test.each([
  ['a signature where there was none', { signedBy: key }, {}],
  [
    'the second of two keys, of which the image before had the first too',
    { signedBy: key },
    { blockKeys: ['k0', 'k1'] },
  ],
  ['a pre-release after a pre-release', { version: '2.0.0-rc.2' }, { version: '2.0.0-rc.1' }],
  ['a newer ESP-IDF', {}, { idfVersion: 'v3.0' }],
  ['an unknown ESP-IDF', {}, { idfVersion: null }],
  ['a release before it of which only the size is known', {}, { flashMode: null, flashBytes: null, idfVersion: null }],
])('does not warn of %s', (_, changed, before) => {
  expect(warnOfDifferences({ ...release, ...changed }, { ...earlier, ...before })).toEqual([]);
});

test.each([
  ['1.10.0', ['1.2.0', '1.9.0', '2.0.0'], '1.9.0'],
  ['1.0.0', ['2.0.0', '3.0.0'], '2.0.0'],
  ['build-7', ['build-6', 'build-5'], 'build-6'],
  ['1.0.0', ['v1.0.0', '0.9.0'], '0.9.0'],
  ['1.0.0', ['1.0.0'], undefined],
  ['1.0.0', [], undefined],
])('the release before %s of %j is %s', (version, versions, expected) => {
  expect(
    earlierOf(
      version,
      versions.map((each) => ({ version: each })),
    )?.version,
  ).toBe(expected);
});

const ARDUINO = { version: 'esp-idf: v4.4.5 ac5d805d0e', project: 'arduino-lib-builder' };

test.each([
  ['another project', { project: 'lock' }, ['heater'], undefined, [], 'OTHER_PROJECT'],
  ['another project than the settings name', { project: 'heater' }, ['heater'], 'boiler', [], 'OTHER_PROJECT'],
  ['the project that the settings name', { project: 'boiler' }, ['heater'], 'boiler', [], undefined],
  ['one of several projects', { project: 'lock' }, ['heater', 'lock'], undefined, [], undefined],
  ['the first release', { project: 'lock' }, [], undefined, [], undefined],
  [
    'another project that the uploader allows',
    { project: 'lock' },
    ['heater'],
    undefined,
    ['OTHER_PROJECT'],
    undefined,
  ],
  ['an Arduino build', ARDUINO, ['heater'], undefined, [], undefined],
  ['a project after Arduino builds', { project: 'heater' }, ['arduino-lib-builder'], undefined, [], undefined],
  ['an image that states no project', { descriptor: false }, ['heater'], undefined, [], undefined],
])('%s: %j', async (_, options, projects, named, allow, verdict) => {
  const { refusal, warnings } = evaluateProject(await inspect(options), 'van', projects, named, allow);
  expect(refusal?.verdict).toBe(verdict);
  expect(warnings.map(({ code }) => code)).toEqual(allow);
});
