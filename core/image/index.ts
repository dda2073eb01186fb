export { chipOfModelName, ESP8266 } from './chips.ts';
export { DESCRIPTOR_BYTES, DESCRIPTOR_OFFSET, readDescriptor } from './descriptor.ts';
export { type DetachedSignature, detachedSignature, MAX_SIGNATURE_BYTES } from './detached-signature.ts';
export { FORMAT_MAX_BYTES, type Inspection, inspectImage, type ParsedImage, type Warning } from './inspect-image.ts';
export { parsePublicKey } from './public-keys.ts';
export { UPLOAD_APP_BINARY, VERDICTS } from './verdicts.ts';
