import { parseUploadKey, UPLOAD_PATTERN, UPLOADS_PREFIX, uploadKey } from './object-keys.ts';
import type { ReleaseRefusal } from './release-policy.ts';

const VERSION_LIKE = /^v?\d+\.\d+(?:\.\d+)*(?:[-+].*)?$/i;
/** Endings of files that builds make beside the application image. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/\.(?:gz|gzip|zip|xz|bz2|zst|7z)$/i, 'is compressed: unpack it first'],
  [/\.elf$/i, "is the build's ELF file: upload the application .bin of the same build"],
  [/\.uf2$/i, 'is a UF2 file: upload the application .bin of the same build'],
  [/\.hex$/i, 'is an Intel HEX file: upload the application .bin of the same build'],
  [/\.map$/i, "is the linker's map: upload the application .bin of the same build"],
];

/** True for the objects that the S3 console creates for an empty folder. */
export const isFolderMarker = ({ key, sizeBytes }: { readonly key: string; readonly sizeBytes: number }): boolean =>
  key.endsWith('/') && sizeBytes === 0;

/** True if the object was meant as an upload: it lies where uploads do, or is an image beside that place. */
export const isMeantAsUpload = (key: string): boolean => key.startsWith(UPLOADS_PREFIX) || /\.bin$/i.test(key);

/** Why an upload cannot be a release by its key alone; undefined if the key names a version and a model. */
export function refusePath(key: string): ReleaseRefusal | undefined {
  const named = parseUploadKey(key);
  if (named === undefined) return misplaced(key);
  const { version, deviceModel } = named;
  if (!VERSION_LIKE.test(deviceModel)) return undefined;
  return VERSION_LIKE.test(version)
    ? refusal(`"${key}" names the version ${deviceModel} as its model; upload it to ${UPLOAD_PATTERN}`)
    : refusal(`"${key}" has version and model the wrong way round; did you mean ${uploadKey(deviceModel, version)}?`);
}

function misplaced(key: string): ReleaseRefusal {
  const [, problem] = KINDS.find(([ending]) => ending.test(key)) ?? [];
  if (problem !== undefined) return refusal(`"${key}" ${problem}`);
  const withEnding = /\.bin$/i.test(key) ? key.replace(/\.bin$/i, '.bin') : `${key}.bin`;
  const hint = refusePathOf(withEnding) ? 'for example firmware/1.2.0/esp32-s3.bin' : `did you mean ${withEnding}?`;
  return refusal(`"${key}" is not a valid path for a release; upload it to ${UPLOAD_PATTERN}, ${hint}`);
}

const refusePathOf = (key: string) => parseUploadKey(key) === undefined || refusePath(key) !== undefined;

const refusal = (message: string): ReleaseRefusal => ({ verdict: 'WRONG_PATH', message });
