// Replaces `@asteasolutions/zod-to-openapi` in the bundles (lib/shared/ota-function.ts). Routes are registered when they
// are defined, but no function makes the OpenAPI document: `npm run gen:api` does. A name that is exported here hides the
// one of `export *`. The path leads past the alias, which would name this file again.
export * from '../../node_modules/@asteasolutions/zod-to-openapi/dist/index.mjs';
export const OpenApiGeneratorV3 = undefined;
export const OpenApiGeneratorV31 = undefined;
export const OpenApiGeneratorV32 = undefined;
