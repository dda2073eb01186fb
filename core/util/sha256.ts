import { hash } from 'node:crypto';

/** In lower-case hex. */
export const sha256 = (bytes: Uint8Array | string): string => hash('sha256', bytes, 'hex');
