import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { openApiDocument } from '../../lambdas/operator-api/document.ts';

const document = openApiDocument();
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({ $id: 'api', ...document });

/** Operations of the OpenAPI document with a pattern for their paths. */
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { responses }]) => ({
    method: method.toUpperCase(),
    path,
    matches: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
    responses,
  })),
);

/** @throws Error if an answer does not match the document */
export function checkAnswer(method: string, path: string, status: number, body: unknown): void {
  const candidates = operations.filter((each) => each.method === method && each.matches.test(path));
  // A path without parameters is preferred.
  const operation = candidates.find((each) => each.path === path) ?? candidates[0];
  if (operation === undefined) return;
  const content = operation.responses[status]?.content;
  if (content === undefined) throw new Error(`${method} ${operation.path}: no answer ${status} in the document`);
  const [type = ''] = Object.keys(content);
  const pointer = ['paths', operation.path, method.toLowerCase(), 'responses', status, 'content', type, 'schema']
    .map((part) => encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1')))
    .join('/');
  const validate = ajv.getSchema(`api#/${pointer}`);
  if (validate === undefined) throw new Error(`${method} ${operation.path}: no schema at ${pointer}`);
  if (validate(body)) return;
  throw new Error(`${method} ${operation.path} ${status} is not as documented: ${ajv.errorsText(validate.errors)}`);
}
