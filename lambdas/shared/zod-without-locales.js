// Replaces `zod` in the bundles (lib/shared/ota-function.ts). The OpenAPI library passes the whole namespace to a function,
// so no bundler can leave out what nobody uses: 270 KB of error messages in other languages, and 45 KB of other features.
// A name that is exported here hides the one of `export *`. `core` contains the locales too.
import * as z from './zod-without-locales.js';

export * from 'zod/v4';
export const compile = undefined;
export const core = undefined;
export const fromJSONSchema = undefined;
export const locales = undefined;
export const regexes = undefined;
export const toJSONSchema = undefined;
export const util = undefined;
export { z, z as default };
