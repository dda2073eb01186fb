import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isCanonicalPath } from '../../core/util/index.ts';
import { compilePolicy } from '../../local/kernel/index.ts';

const FOLDER = new URL('../../docs/policies/', import.meta.url);
const API = 'arn:aws:execute-api:eu-west-1:111122223333:a1b2c3d4e5/$default';

interface Operation {
  readonly method: string;
  /** Such as `/v1/devices/{device_id}/revoke`. */
  readonly path: string;
}

const document = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8')) as {
  paths: Record<string, Record<string, unknown>>;
};
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method): Operation => ({ method: method.toUpperCase(), path })),
);
const nameOf = ({ method, path }: Operation) => `${method} ${path}`;

/** A call of an operation. Literal paths are more specific than those with parameters, as in the router. */
const called = operations
  .toSorted((a, b) => a.path.split('{').length - b.path.split('{').length)
  .map((operation) => ({
    operation,
    sample: operation.path.replaceAll(/\{\w+\}/g, '7'),
    pattern: new RegExp(`^${operation.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  }));

/** The operation that the router chooses, which resolves dot segments as URLs do. */
function routed(method: string, path: string): Operation | undefined {
  const { pathname } = new URL(`http://api${path}`);
  return called.find(({ operation, pattern }) => operation.method === method && pattern.test(pathname))?.operation;
}

function load(file: string) {
  const text = readFileSync(new URL(file, FOLDER), 'utf8')
    .replaceAll('REGION', 'eu-west-1')
    .replaceAll('ACCOUNT', '111122223333')
    .replaceAll('API_ID', 'a1b2c3d4e5');
  const policy = compilePolicy(file, [JSON.parse(text)]);
  return (method: string, path: string) => policy.allows('execute-api:Invoke', `${API}/${method}${path}`);
}

const files = readdirSync(FOLDER);
const CHANGES = {
  'approver.json': [
    'POST /v1/rollouts/preview',
    'POST /v1/rollouts/{rollout}/approve',
    'POST /v1/rollouts/{rollout}/reject',
  ],
  'ci-upload.json': ['POST /v1/uploads'],
  'deployer.json': [],
  'device-registrar.json': [
    'POST /v1/allowed-devices',
    'POST /v1/devices/preview-change',
    'POST /v1/devices/{device_id}/accept-identity',
    'POST /v1/devices/{device_id}/reinstate',
    'POST /v1/devices/{device_id}/revoke',
  ],
  'operator.json': operations
    .filter(({ method, path }) => method !== 'GET' && path.startsWith('/v1/rollouts') && !path.endsWith('/approve'))
    .map(nameOf)
    .concat([
      'PATCH /v1/devices/{device_id}',
      'POST /v1/dead-letters/redrive',
      'POST /v1/devices/{device_id}/update',
      'POST /v1/devices/preview-change',
      'POST /v1/groups',
      'POST /v1/holds',
      'POST /v1/issues',
      'POST /v1/issues/preview',
      'POST /v1/issues/{issue}/fix',
      'POST /v1/issues/{issue}/withdraw',
      'POST /v1/holds/{hold}/remove',
      'POST /v1/tick',
      'POST /v1/uploads/rescan',
      'PUT /v1/devices/{device_id}/groups',
    ]),
  'release-manager.json': [
    'POST /v1/issues',
    'POST /v1/issues/preview',
    'POST /v1/releases/{device_model}/{version}/revoke',
    'POST /v1/rollouts/preview',
    'POST /v1/uploads',
    'POST /v1/uploads/rescan',
  ],
  'viewer.json': ['POST /v1/rollouts/preview'],
} as const;

test('each policy for operators has its list of changes here', () => {
  expect(files.toSorted()).toEqual(Object.keys(CHANGES));
});

test.each(Object.entries(CHANGES))('%s allows these changes and no other', (file, changes) => {
  const allows = load(file);
  const allowed = called.filter(({ operation, sample }) => allows(operation.method, sample)).map((c) => c.operation);
  expect(
    allowed
      .filter(({ method }) => method !== 'GET')
      .map(nameOf)
      .toSorted(),
  ).toEqual(changes.toSorted());
});

const encodeAt = (text: string, index: number) =>
  `${text.slice(0, index)}%${text.charCodeAt(index).toString(16).padStart(2, '0')}${text.slice(index + 1)}`;

/** Other spellings of a path: encoded once and twice, with dot segments, empty segments, and what parsers cut off. */
function* spellings(path: string, allowedPath: string): Generator<string> {
  yield path;
  for (let index = 0; index < path.length; index++) {
    const once = encodeAt(path, index);
    yield once;
    yield once.toUpperCase().replace('%2F', '%2f');
    yield once.replace('%', '%25');
  }
  const whole = [...path].map((_, index) => encodeAt(path, index).slice(index, index + 3)).join('');
  yield `/${whole.slice(3)}`;
  yield path.replaceAll('/', '//');
  yield path.replaceAll('/', '%2f').replace('%2f', '/');
  yield path.replaceAll('/', '/./');
  yield `${path}/`;
  yield `${path}/.`;
  for (const cut of ['?', '#', ';', '%3f', '%23', '%00', '%09', '\\', '%5c']) {
    yield `${path}${cut}${allowedPath}`;
    yield `${allowedPath}${cut}${path}`;
  }
  const depth = allowedPath.split('/').length - 1;
  for (const up of ['..', '%2e%2e', '.%2e', '%252e%252e']) {
    for (const slash of ['/', '%2f', '%252f']) {
      yield `${allowedPath}${`${slash}${up}`.repeat(depth)}${path}`;
      yield `${path}${slash}x${slash}${up}`;
    }
  }
}

const decode = (path: string) => {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
};

/** Those that allow calls of the API at all. */
const ofTheApi = files.filter((file) => readFileSync(new URL(file, FOLDER), 'utf8').includes('execute-api:Invoke'));

test.each(ofTheApi)(
  '%s cannot be bypassed by another spelling of a path, whichever form IAM and the API see',
  (file) => {
    const allows = load(file);
    const isAllowed = new Set(called.filter((c) => allows(c.operation.method, c.sample)).map((c) => c.operation));
    const allowedPaths = called.filter((c) => isAllowed.has(c.operation)).map((c) => c.sample);
    const bypasses = new Set<string>();
    let tried = 0;
    for (const { operation, sample } of called.filter((c) => !isAllowed.has(c.operation))) {
      // Most spellings are the same beside each allowed path.
      for (const sent of new Set(allowedPaths.flatMap((allowedPath) => [...spellings(sample, allowedPath)]))) {
        for (const judged of [sent, decode(sent)]) {
          for (const received of [sent, decode(sent)]) {
            tried++;
            if (!isCanonicalPath(received) || !allows(operation.method, judged)) continue;
            const reached = routed(operation.method, received);
            if (reached !== undefined && !isAllowed.has(reached)) bypasses.add(`${operation.method} ${sent}`);
          }
        }
      }
    }
    expect([...bypasses]).toEqual([]);
    expect(tried).toBeGreaterThan(10_000);
  },
);

test('a Deny of a path does not hold where IAM sees the encoded form, which is why the policies only allow', () => {
  const all = { Effect: 'Allow', Action: 'execute-api:Invoke', Resource: `${API}/*` };
  const deny = { Effect: 'Deny', Action: 'execute-api:Invoke', Resource: `${API}/POST/v1/devices/*/revoke` };
  const policy = compilePolicy('deny', [{ Version: '2012-10-17', Statement: [all, deny] }]);
  const sent = '/v1/devices/7/%72evoke';
  expect(policy.allows('execute-api:Invoke', `${API}/POST${sent}`)).toBe(true);
  expect(routed('POST', decode(sent))?.path).toBe('/v1/devices/{device_id}/revoke');
  for (const file of files) expect(readFileSync(new URL(file, FOLDER), 'utf8')).not.toContain('Deny');
});
