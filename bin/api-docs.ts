import { writeFileSync } from 'node:fs';
import { openApiDocument } from '../lambdas/operator-api/document.ts';
import { renderReference } from './api-reference.ts';

/** `npm run gen:api`: docs/openapi.json and docs/api.md, out of the routes. A test fails when they are not of today. */
const docs = new URL('../docs/', import.meta.url);
const document = openApiDocument();
writeFileSync(new URL('openapi.json', docs), `${JSON.stringify(document, null, 2)}\n`);
writeFileSync(new URL('api.md', docs), renderReference(document));
