export { parseSettings, readSettings, type Settings } from './settings.ts';
export { signingSettings, trustsDetachedSignatures } from './signing.ts';
