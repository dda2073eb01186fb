import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { renderReference } from '../../bin/api-reference.ts';
import { openApiDocument } from '../../lambdas/operator-api/document.ts';

const docs = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

test('the API document passes an independent OpenAPI 3.1 validator', async () => {
  const document = JSON.parse(docs('openapi.json')) as Record<string, unknown>;
  expect(await new Validator().validate(document)).toMatchObject({ valid: true });
  expect(document).toMatchObject({ openapi: '3.1.0' });
});

test('the reference in docs/ matches the routes; npm run gen:api regenerates it', () => {
  const document = openApiDocument();
  expect(JSON.parse(docs('openapi.json'))).toEqual(JSON.parse(JSON.stringify(document)));
  expect(docs('api.md')).toBe(renderReference(document));
});

test('every route has a summary and a response schema', () => {
  const operations = Object.values(openApiDocument().paths).flatMap((methods) => Object.values(methods));
  expect(operations.length).toBeGreaterThan(30);
  for (const { summary, responses } of operations) {
    expect(summary).toBeTruthy();
    expect(Object.keys(responses).some((status) => status.startsWith('2'))).toBe(true);
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '403', '500', '503']));
  }
});
