export { isCanonicalPath, PATH_SEGMENT, PATH_SEGMENT_FORM } from './canonical-path.ts';
export { DEVICE_ID, DEVICE_ID_FORM } from './device-id.ts';
export { ENV } from './env-names.ts';
export { describeErrors, type FieldError, fieldErrors } from './field-errors.ts';
export { isNoAddress, normalizeMacAddress } from './mac-address.ts';
export { METRICS } from './metric-names.ts';
export { printable } from './printable.ts';
export { sha256 } from './sha256.ts';
export { someNames } from './some-names.ts';
