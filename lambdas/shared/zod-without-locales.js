// Replaces `zod` in the bundles (lib/ota-function.ts): everything except its locales, which are 264 KB of messages in
// languages that no function uses. The OpenAPI library re-exports the whole namespace, so no bundler can remove them.
// Otherwise identical to node_modules/zod/v4/classic/external.js; a missing name fails the build.
import * as z from './zod-without-locales.js';

export * from '../../node_modules/zod/v4/classic/checks.js';
export * as coerce from '../../node_modules/zod/v4/classic/coerce.js';
export * from '../../node_modules/zod/v4/classic/compat.js';
export * from '../../node_modules/zod/v4/classic/errors.js';
export * as iso from '../../node_modules/zod/v4/classic/iso.js';
export * from '../../node_modules/zod/v4/classic/parse.js';
export * from '../../node_modules/zod/v4/classic/schemas.js';
export { config, globalRegistry, NEVER, prettifyError, registry } from '../../node_modules/zod/v4/core/index.js';
export { z, z as default };
