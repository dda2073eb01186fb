import { isDeepStrictEqual } from 'node:util';
import { type Resource, resourcesOf } from './templates.ts';

/** Types of resources whose content must not be lost. */
const STATEFUL_TYPES = ['AWS::SQS::Queue', 'AWS::S3::Bucket', 'AWS::RDS::DBCluster', 'AWS::SecretsManager::Secret'];

type Resources = Readonly<Record<string, Resource>>;

/** What an update from the old to the new templates would lose or could not do, in sentences. */
export function findReplaced(old: string, fresh: string): string[] {
  const [before, after] = [resourcesOf(old), resourcesOf(fresh)];
  return [...removedResources(before, after), ...rejectedMappings(before, after), ...removedVariables(before, after)];
}

const removedResources = (before: Resources, after: Resources) =>
  Object.entries(before)
    .filter(([logicalId, { Type }]) => STATEFUL_TYPES.includes(Type) && !(logicalId in after))
    .map(([logicalId, { Type }]) => `${logicalId} (${Type}) is no longer there, nor would be what it holds`);

/**
 * CloudFormation creates new resources before it deletes old ones, and Lambda refuses a second mapping of one queue to
 * one function (https://github.com/aws/aws-cdk/issues/18706).
 */
function rejectedMappings(before: Resources, after: Resources): string[] {
  const mappings = (all: Resources) =>
    Object.entries(all).filter(([, { Type }]) => Type === 'AWS::Lambda::EventSourceMapping');
  const keyOf = ({ Properties }: Resource) => [Properties?.EventSourceArn, Properties?.FunctionName];
  return mappings(after).flatMap(([logicalId, mapping]) => {
    if (logicalId in before) return [];
    const same = mappings(before).find(([, other]) => isDeepStrictEqual(keyOf(other), keyOf(mapping)));
    return same === undefined ? [] : [`${logicalId} was ${same[0]}: "mapping already exists", and a rollback`];
  });
}

/** During an update, the old bundle of a function runs with the new environment variables for a moment. */
const removedVariables = (before: Resources, after: Resources) =>
  Object.entries(before).flatMap(([logicalId, resource]) => {
    const set = after[logicalId]?.Properties?.Environment?.Variables ?? {};
    const gone = Object.keys(resource.Properties?.Environment?.Variables ?? {}).filter((name) => !(name in set));
    return logicalId in after ? gone.map((name) => `${logicalId} no longer has ${name}`) : [];
  });
