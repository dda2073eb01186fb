import { isDeepStrictEqual } from 'node:util';
import { type Resource, resourcesOf } from './templates.ts';

/** Types that hold what must not be lost. */
const HOLDING = ['AWS::SQS::Queue', 'AWS::S3::Bucket', 'AWS::RDS::DBCluster', 'AWS::SecretsManager::Secret'];

type Resources = Readonly<Record<string, Resource>>;

/** What CloudFormation would lose or be refused in an update from the old to the new templates, in sentences. */
export function findReplaced(old: string, fresh: string): string[] {
  const [before, after] = [resourcesOf(old), resourcesOf(fresh)];
  return [...goneOf(before, after), ...refusedOf(before, after), ...unsetOf(before, after)];
}

const goneOf = (before: Resources, after: Resources) =>
  Object.entries(before)
    .filter(([logicalId, { Type }]) => HOLDING.includes(Type) && !(logicalId in after))
    .map(([logicalId, { Type }]) => `${logicalId} (${Type}) is no longer there, nor would be what it holds`);

/**
 * CloudFormation makes the new before it removes the old, and Lambda refuses a second mapping of the same queue to the
 * same function (https://github.com/aws/aws-cdk/issues/18706).
 */
function refusedOf(before: Resources, after: Resources): string[] {
  const mappings = (all: Resources) =>
    Object.entries(all).filter(([, { Type }]) => Type === 'AWS::Lambda::EventSourceMapping');
  const keyOf = ({ Properties }: Resource) => [Properties?.EventSourceArn, Properties?.FunctionName];
  return mappings(after).flatMap(([logicalId, mapping]) => {
    if (logicalId in before) return [];
    const same = mappings(before).find(([, other]) => isDeepStrictEqual(keyOf(other), keyOf(mapping)));
    return same === undefined ? [] : [`${logicalId} was ${same[0]}: "mapping already exists", and a rollback`];
  });
}

/** The old bundle still runs for a moment when its function has the new settings. */
const unsetOf = (before: Resources, after: Resources) =>
  Object.entries(before).flatMap(([logicalId, resource]) => {
    const set = after[logicalId]?.Properties?.Environment?.Variables ?? {};
    const gone = Object.keys(resource.Properties?.Environment?.Variables ?? {}).filter((name) => !(name in set));
    return logicalId in after ? gone.map((name) => `${logicalId} no longer has ${name}`) : [];
  });
