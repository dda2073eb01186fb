// What bundles get for `zod` (lib/ota-function.ts): all that is used of it but its locales, 264 KB of messages in languages
// that no function speaks. The OpenAPI library hands the whole namespace on, so that no bundler may leave them out by itself.
// Otherwise as node_modules/zod/v4/classic/external.js; a name that is missing here fails the build.
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
