import {
  type DetachedSignature,
  detachedSignature,
  FORMAT_MAX_BYTES,
  type Inspection,
  inspectImage,
} from '../../core/image/index.ts';
import type { Detached } from '../../core/policy/index.ts';
import { openUpload, readSignature } from './object-store.ts';
import type { Upload } from './upload-event.ts';

/** The content of an upload and of the signature file beside it. */
export interface ReadUpload {
  readonly inspection: Inspection;
  /** As set by the uploader; keys in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly detached: Detached;
}

/**
 * Reads an upload once, from its first byte to its last. An upload over the size limit is not opened.
 * @param trustedPublicKeys in PEM; if empty, a signature file beside the upload is ignored
 */
export async function readUpload(
  upload: Upload,
  kinds: { readonly allowWithoutDescriptor: boolean; readonly acceptEsp8266: boolean },
  trustedPublicKeys: readonly string[],
): Promise<ReadUpload> {
  const options = { sizeBytes: upload.sizeBytes, ...kinds };
  if (upload.sizeBytes > FORMAT_MAX_BYTES)
    return { inspection: await inspectImage(nothing(), options), metadata: {}, detached: 'none' };
  const beside = trustedPublicKeys.length === 0 ? undefined : await readSignature(upload);
  const signature = beside && detachedSignature(beside, trustedPublicKeys);
  const { chunks, metadata, close } = await openUpload(upload);
  try {
    const inspection = await inspectImage(signature?.watch(chunks) ?? chunks, options);
    return { inspection, metadata, detached: whoSigned(signature, inspection) };
  } finally {
    close();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function whoSigned(signature: DetachedSignature | undefined, { sha256 }: Inspection): Detached {
  if (signature === undefined) return 'none';
  const key = sha256 === null ? undefined : signature.signer(sha256);
  return key === undefined ? 'unverified' : { kind: 'detached', scheme: key.scheme, keyDigest: key.digest };
}
