export { chipOfModelName, ESP8266 } from './chips.ts';
export { ARDUINO_PROJECT, DESCRIPTOR_BYTES, DESCRIPTOR_OFFSET, readDescriptor } from './descriptor.ts';

export { FORMAT_MAX_BYTES, type Inspection, inspectImage, type ParsedImage, type Warning } from './inspect-image.ts';
export { type PublicKey, parsePublicKey } from './public-keys.ts';
export {
  formatManifest,
  MAX_SIGNATURE_BYTES,
  parseSignatureFile,
  type ReleaseManifest,
  type SignedManifest,
  signerOf,
  signManifest,
} from './release-manifest.ts';
export { UPLOAD_APP_BINARY, VERDICTS } from './verdicts.ts';
