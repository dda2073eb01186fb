import type { OpenApiDocument, Operation, Schema } from '../lambdas/operator-api/document.ts';

const INTRODUCTION = `<!-- Made by npm run gen:api from the routes; do not edit. -->
# Operator API

Every call is signed with AWS Signature Version 4 for the service \`execute-api\`; IAM decides who may call (\`execute-api:Invoke\` on the API). Who it was is kept with each decision. The local runtime checks the same signatures; \`api\` in its \`endpoints.json\` has the address and the keys, \`region\` the region. The names are those of the database; times are ISO 8601 in UTC.

Devices, releases, rollouts, updates and rejections come in pages: \`next_cursor\` of one is the \`cursor\` of the next. Of decisions there are the newest 500, of groups 500, of rollouts in \`/v1/fleet\` 50. A rollout comes with an \`ETag\`, which a change sends back as \`If-Match\`.

A refusal is a problem detail (RFC 9457): \`{"type", "title", "status", "detail", "errors": [{"field", "message"}]}\`; 400 names the field, 409 the state that is in the way, 412 that it was changed since it was read (\`If-Match\`), 503 that the database is resuming. Only the gateway itself, which refuses a call that is not signed or not allowed (403) or too many of them (429), answers \`{"message": …}\`.

[openapi.json](openapi.json) is the same for programs. \`curl\` signs by itself:

\`\`\`sh
curl --aws-sigv4 aws:amz:$AWS_REGION:execute-api --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$API_URL/v1/fleet"
curl --aws-sigv4 aws:amz:$AWS_REGION:execute-api --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
  -H 'content-type: application/json' -d '{"reason": "lunch"}' "$API_URL/v1/rollouts/1/pause"
\`\`\`

A body needs the content type. Older versions of curl (7.88 for one) sign the address as it stands: write parameters in the order of their names, and a rollout by its id where its name has a space, or the signature is refused with 403.
`;

/** The reference page of an API, in Markdown. */
export function renderReference(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  const parts = tags.map((tag) =>
    [
      `## ${tag}`,
      ...operations
        .filter(({ operation }) => operation.tags.includes(tag))
        .map(({ path, method, operation }) => renderOperation(path, method, operation)),
    ].join('\n\n'),
  );
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) => `### ${name}\n\n${renderFields(schema)}`,
  );
  return `${[INTRODUCTION.trim(), ...parts, '## Schemas', ...schemas].join('\n\n')}\n`;
}

function renderOperation(path: string, method: string, { summary, parameters, requestBody, responses }: Operation) {
  const rows = (parameters ?? []).map(
    ({ name, in: where, required, description, schema }) =>
      `| \`${name}\` | ${where}${required ? ', required' : ''} | ${typeOf(schema)} | ${cell(description ?? schema.description)} |`,
  );
  const table =
    rows.length === 0 ? [] : [['| parameter | in | type | |', '| --- | --- | --- | --- |', ...rows].join('\n')];
  const bodyOf = (content: Operation['requestBody']) => Object.values(content?.content ?? {})[0]?.schema;
  const body = bodyOf(requestBody);
  const answers = Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .map(([status, { description, content }]) => {
      const schema = Object.values(content ?? {})[0]?.schema;
      return `Answers ${status}${schema === undefined ? '' : ` ${typeOf(schema)}`}: ${description}.`;
    });
  return [
    `### ${method.toUpperCase()} ${path}`,
    `${summary}.`,
    ...table,
    ...(body === undefined ? [] : [`Body: ${typeOf(body)}`]),
    ...answers,
  ].join('\n\n');
}

function renderFields(schema: Schema): string {
  const all = [schema, ...(schema.allOf ?? [])];
  const base = all.flatMap(({ $ref }) => ($ref === undefined ? [] : `As ${typeOf({ $ref })}, and:\n\n`)).join('');
  const properties = Object.entries(
    Object.assign({}, ...all.map(({ properties: fields = {} }) => fields)) as Record<string, Schema>,
  );
  if (properties.length === 0) return `${base}${typeOf(schema)}`;
  const rows = properties.map(([name, field]) => `| \`${name}\` | ${typeOf(field)} | ${cell(field.description)} |`);
  return `${base}${['| field | type | |', '| --- | --- | --- |', ...rows].join('\n')}`;
}

function typeOf(schema: Schema): string {
  const byDefault = schema.default === undefined ? '' : ` = \`${JSON.stringify(schema.default)}\``;
  return `${plainType(schema)}${byDefault}`;
}

function plainType({ $ref, type, enum: values, items, anyOf, oneOf, allOf, properties }: Schema): string {
  if ($ref !== undefined) return reference($ref);
  if (values !== undefined) return values.map((value) => `\`${String(value)}\``).join(', ');
  const choices = anyOf ?? oneOf ?? allOf;
  if (choices !== undefined) return choices.map(plainType).join(' or ');
  if (items !== undefined) return `list of ${plainType(items)}`;
  if (properties !== undefined) {
    return `{ ${Object.entries(properties)
      .map(([name, field]) => `${name}: ${plainType(field)}`)
      .join('; ')} }`;
  }
  return [type ?? 'anything'].flat().join(' or ');
}

function reference($ref: string): string {
  const name = $ref.slice($ref.lastIndexOf('/') + 1);
  return `[${name}](#${name.toLowerCase()})`;
}

const cell = (text = '') => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
