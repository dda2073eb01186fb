import {
  FORMAT_MAX_BYTES,
  type Inspection,
  inspectImage,
  parseSignatureFile,
  signerOf,
} from '../../core/image/index.ts';
import type { SignatureFile } from '../../core/release-policy/index.ts';
import { openUpload, readSignature } from './object-store.ts';
import type { Upload } from './upload-event.ts';

/** The content of an upload and of the signature file beside it. */
export interface ReadUpload {
  readonly inspection: Inspection;
  /** As set by the uploader; keys in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly signatureFile: SignatureFile;
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
    return { inspection: await inspectImage(nothing(), options), metadata: {}, signatureFile: 'none' };
  const signatureFile = await readSignatureFile(upload, trustedPublicKeys);
  const { chunks, metadata, close } = await openUpload(upload);
  try {
    return { inspection: await inspectImage(chunks, options), metadata, signatureFile };
  } finally {
    close();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function readSignatureFile(upload: Upload, trustedPublicKeys: readonly string[]): Promise<SignatureFile> {
  const bytes = trustedPublicKeys.length === 0 ? undefined : await readSignature(upload);
  if (bytes === undefined) return 'none';
  const signed = parseSignatureFile(bytes);
  return signed === undefined ? 'malformed' : { ...signed, signer: signerOf(signed, trustedPublicKeys) };
}
