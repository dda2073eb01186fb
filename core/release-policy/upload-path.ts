import { chipOfModelName } from '../image/index.ts';
import {
  normalizeModel,
  parseUploadKey,
  signatureKey,
  signedUploadKey,
  UPLOAD_PATTERN,
  UPLOADS_PREFIX,
  uploadKey,
} from '../protocol/index.ts';
import type { ReleaseRefusal } from './release-policy.ts';

const VERSION_LIKE = /^v?\d+\.\d+(?:\.\d+)*(?:[-+].*)?$/i;
/** What may be a version where the version is not one: also v2, 20261130 and 1.3.7rc1. */
const BEGINS_AS_VERSION = /^v?\d/i;
/** Endings that a model has if the name of a file was taken over. */
const BUILD_SUFFIX = /(?:\.(?:bin|ino|elf|hex|uf2))+$/i;
const EXAMPLE = uploadKey('1.2.0', 'esp32-s3');
/** Endings of files that builds make beside the application image. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/\.(?:gz|gzip|tgz|zip|xz|bz2|zst|7z|rar|tar|lz4|br)$/i, 'is compressed: unpack it first'],
  [/\.elf$/i, "is the build's ELF file: upload the application .bin of the same build"],
  [/\.uf2$/i, 'is a UF2 file: upload the application .bin of the same build'],
  [/\.hex$/i, 'is an Intel HEX file: upload the application .bin of the same build'],
  [
    /\.merged\.bin$/i,
    'is a merged flash image, for the first flash by cable: upload the application .bin of the same build',
  ],
  [/\.map$/i, "is the linker's map: upload the application .bin of the same build"],
];

/** True for the objects that the S3 console creates for an empty folder. */
export const isFolderMarker = ({ key, sizeBytes }: { readonly key: string; readonly sizeBytes: number }): boolean =>
  key.endsWith('/') && sizeBytes === 0;

/** True if the object was meant as an upload: it lies where uploads do, or is an image beside that place. */
export const isMeantAsUpload = (key: string): boolean => key.startsWith(UPLOADS_PREFIX) || /\.bin$/i.test(key);

/** Why an upload cannot be a release by its key alone; undefined if the key names a version and a model. */
export function refusePath(key: string): ReleaseRefusal | undefined {
  if (signedUploadKey(key) !== undefined) return misplacedSignature(key);
  const named = parseUploadKey(key);
  if (named === undefined || /\.merged\.bin$/i.test(key)) return misplaced(key);
  const { version, deviceModel } = named;
  const model = deviceModel.replace(BUILD_SUFFIX, '');
  if (model !== deviceModel) return refusal(`"${key}" has two endings; did you mean ${uploadKey(version, model)}?`);
  if (namesModel(version)) return refuseModelAsVersion(key, named);
  if (!VERSION_LIKE.test(deviceModel)) return undefined;
  return VERSION_LIKE.test(version)
    ? refusal(`"${key}" names the version ${deviceModel} as its model; upload it to ${UPLOAD_PATTERN}`)
    : refuseModelAsVersion(key, named);
}

/** True if a version is the name of a chip, as models are called: `esp32-s3`, and not `1.2.0-esp32-s3`. */
const namesModel = (version: string) => chipOfModelName(version) !== undefined && !/\d\.\d/.test(version);

/** Refuses an upload whose version is the name of a model. */
export function refuseModelAsVersion(
  key: string,
  { version, deviceModel }: { readonly version: string; readonly deviceModel: string },
): ReleaseRefusal {
  const model = normalizeModel(version);
  return BEGINS_AS_VERSION.test(deviceModel)
    ? refusal(`"${key}" has version and model the wrong way round; did you mean ${uploadKey(deviceModel, model)}?`)
    : refusal(
        `"${key}" names the model ${model} as its version; upload it to ${UPLOAD_PATTERN}, for example ${EXAMPLE}`,
      );
}

function misplacedSignature(key: string): ReleaseRefusal {
  const image = `${(signedUploadKey(key) ?? '').replace(/\.bin$/i, '')}.bin`;
  const hint = refusePathOf(image)
    ? `, for example ${signatureKey(EXAMPLE)}`
    : `: did you mean ${signatureKey(image)}?`;
  return refusal(`"${key}" belongs to no image; a signature lies beside its image${hint}`);
}

function misplaced(key: string): ReleaseRefusal {
  const [, problem] = KINDS.find(([ending]) => ending.test(key)) ?? [];
  if (problem !== undefined) return refusal(`"${key}" ${problem}`);
  const withEnding = /\.bin$/i.test(key) ? key.replace(/\.bin$/i, '.bin') : `${key}.bin`;
  const hint = refusePathOf(withEnding) ? `for example ${EXAMPLE}` : `did you mean ${withEnding}?`;
  return refusal(`"${key}" is not a valid path for a release; upload it to ${UPLOAD_PATTERN}, ${hint}`);
}

const refusePathOf = (key: string) => parseUploadKey(key) === undefined || refusePath(key) !== undefined;

const refusal = (message: string): ReleaseRefusal => ({ verdict: 'WRONG_PATH', message });
