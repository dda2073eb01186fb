import type { ParsedImage, Warning } from '../image/index.ts';
import { ARDUINO_PROJECT } from '../image/index.ts';
import { compareVersions, isBenchBuild, isSameVersion } from '../protocol/index.ts';
import { OVERRIDABLE, type ReleaseRefusal } from './release-policy.ts';
import type { SignedBy } from './signature-policy.ts';

/** A release of the same model that is registered, and what its image states. */
export interface EarlierImage {
  readonly version: string;
  readonly sizeBytes: number;
  /** Null where the image states none. */
  readonly projectName: string | null;
  readonly idfVersion: string | null;
  readonly secureVersion: number | null;
  readonly minChipRevision: number | null;
  /** Null where it was registered without parsing, or states no known one. */
  readonly flashMode: string | null;
  readonly flashBytes: number | null;
  /** Digests of the keys of its secure boot signatures, trusted or not. */
  readonly blockKeys: readonly string[];
  /** Digest of the trusted key that signed the release; null if none did. */
  readonly signingKey: string | null;
}

/** The release that an upload would become, as far as it is compared. */
export interface ComparedRelease {
  readonly version: string;
  readonly sizeBytes: number;
  readonly image: ParsedImage;
  readonly signedBy: SignedBy | null;
}

/**
 * The release before a version: the highest of a lower version, otherwise the one registered last.
 * @param releases of one model, the newest first
 */
export function earlierOf<Release extends { readonly version: string }>(
  version: string,
  releases: readonly Release[],
): Release | undefined {
  const others = releases.filter((release) => !isSameVersion(release.version, version));
  const lower = others.filter((release) => (compareVersions(release.version, version) ?? 0) < 0);
  return lower.sort((a, b) => compareVersions(b.version, a.version) ?? 0)[0] ?? others[0];
}

/** An image that is this much smaller or larger than the one before it may be of another kind of build. */
const SIZE_FACTOR = 1.5;

/** What the image states differently from the release before it, and what that may do to devices. */
export function warnOfDifferences(release: ComparedRelease, earlier: EarlierImage): Warning[] {
  const { version, image, sizeBytes } = release;
  const before = `release ${earlier.version}`;
  const idfVersion = image.descriptor?.idfVersion ?? '';
  const secureVersion = image.descriptor?.secureVersion ?? 0;
  const known: (Warning | false)[] = [
    (image.minChipRevision ?? 0) > (earlier.minChipRevision ?? 0) && {
      code: 'HIGHER_MIN_CHIP_REVISION',
      message: `the image needs chip revision ${revision(image.minChipRevision)}, ${before} ${revision(earlier.minChipRevision)}: a board with an older chip does not boot it`,
    },
    earlier.flashBytes !== null &&
      image.flashBytes !== earlier.flashBytes && {
        code: 'OTHER_FLASH_SIZE',
        message: `the image is built for ${megabytes(image.flashBytes)} of flash, ${before} for ${megabytes(earlier.flashBytes)}`,
      },
    earlier.flashMode !== null &&
      image.flashMode !== earlier.flashMode && {
        code: 'OTHER_FLASH_MODE',
        message: `the image is built for the flash mode ${image.flashMode ?? '(unknown)'}, ${before} for ${earlier.flashMode ?? '(unknown)'}`,
      },
    (compareVersions(idfVersion, earlier.idfVersion ?? '') ?? 0) < 0 && {
      code: 'OLDER_IDF',
      message: `the image is built with ESP-IDF ${idfVersion}, ${before} with ${earlier.idfVersion}`,
    },
    secureVersion > (earlier.secureVersion ?? 0) && {
      code: 'HIGHER_SECURE_VERSION',
      message: `the image has secure_version ${secureVersion}, ${before} ${earlier.secureVersion ?? 0}: a device with anti-rollback that runs it never boots an older release again`,
    },
    (sizeBytes > earlier.sizeBytes * SIZE_FACTOR || sizeBytes * SIZE_FACTOR < earlier.sizeBytes) && {
      code: 'OTHER_SIZE',
      message: `the image is ${sizeBytes} bytes, ${before} ${earlier.sizeBytes}`,
    },
    isBenchBuild(version) &&
      !isBenchBuild(earlier.version) && {
        code: 'BENCH_BUILD',
        message: `the image is a pre-release or a build of uncommitted sources, ${before} is not`,
      },
    earlier.projectName !== null &&
      image.descriptor === null && {
        code: 'NO_PROJECT',
        message: `the image states no project, ${before} is of the project "${earlier.projectName}"`,
      },
    warnOfSignature(release, earlier),
  ];
  return known.filter((warning) => warning !== false);
}

function warnOfSignature({ image, signedBy }: ComparedRelease, earlier: EarlierImage): Warning | false {
  const keys = [...image.signatureBlocks.map(({ keyDigest }) => keyDigest), ...(signedBy ? [signedBy.keyDigest] : [])];
  const known = [...earlier.blockKeys, ...(earlier.signingKey === null ? [] : [earlier.signingKey])];
  if (known.length === 0 || keys.some((key) => known.includes(key))) return false;
  const before = `release ${earlier.version} is signed by key ${known[0]}`;
  return keys.length === 0
    ? {
        code: 'NO_SIGNATURE',
        message: `the image is not signed, ${before}: a device that verifies signatures refuses it`,
      }
    : {
        code: 'OTHER_SIGNING_KEY',
        message: `the image is signed by key ${keys[0]}, ${before}: a device that verifies signatures may refuse it`,
      };
}

const [OTHER_PROJECT] = OVERRIDABLE;

/**
 * Refuses an image of another project than the earlier releases of its model, unless the uploader allows it. Devices that
 * install it run another product: they may neither report on the topics of this service nor take another update. An
 * Arduino build states the project of its core, which says nothing.
 * @param projects that earlier releases of the model embed
 * @param named the project that the settings name for the model; it decides alone
 */
export function evaluateProject(
  image: ParsedImage,
  deviceModel: string,
  projects: readonly string[],
  named: string | undefined,
  allow: readonly string[],
): { readonly warnings: readonly Warning[]; readonly refusal: ReleaseRefusal | undefined } {
  const project = image.descriptor?.projectName ?? '';
  const expected = named === undefined ? projects.filter((known) => known !== ARDUINO_PROJECT) : [named];
  if (project === '' || project === ARDUINO_PROJECT || expected.length === 0 || expected.includes(project))
    return { warnings: [], refusal: undefined };
  const known = expected.map((name) => `"${name}"`).join(' and ');
  const finding = `the image is of the project "${project}", ${named === undefined ? 'releases' : 'by the settings images'} of model ${deviceModel} are of ${known}`;
  if (allow.includes(OTHER_PROJECT))
    return { warnings: [{ code: OTHER_PROJECT, message: `${finding}; the uploader allowed it` }], refusal: undefined };
  const remedy = `if it is meant for this model, upload it with --allow ${OTHER_PROJECT} (object metadata allow: ${OTHER_PROJECT})`;
  const message = `${finding}; a device that installs another product may never take an update again; ${remedy}`;
  return { warnings: [], refusal: { verdict: OTHER_PROJECT, message } };
}

const revision = (value: number | null) => `v${Math.floor((value ?? 0) / 100)}.${(value ?? 0) % 100}`;
const megabytes = (bytes: number | null) => (bytes === null ? 'an unknown size' : `${bytes / 2 ** 20} MB`);
