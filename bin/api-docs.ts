import { writeFileSync } from 'node:fs';
import { openApiDocument } from '../lambdas/operator-api/document.ts';
import { renderReference } from './api-reference.ts';

/**
 * `npm run gen:api`: generates docs/openapi.json and docs/api.md from the routes. A test fails if they are out of date.
 */
const docs = new URL('../docs/', import.meta.url);
const document = openApiDocument();
writeFileSync(new URL('openapi.json', docs), `${JSON.stringify(document, null, 2)}\n`);
writeFileSync(new URL('api.md', docs), renderReference(document));
