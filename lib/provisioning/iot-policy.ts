import { CfnPolicy } from 'aws-cdk-lib/aws-iot';
import { RegionInfo } from 'aws-cdk-lib/region-info';
import type { Construct } from 'constructs';
import { iotArn } from '../shared/index.ts';

/** The limit of a policy document, without white space (AWS IoT Core quotas). */
const MAX_CHARACTERS = 2_048;

/** One statement: the actions that it allows, or denies, and the kind and pattern of each resource, such as `['topic', 'paku/*']`. */
export interface IotStatement {
  /** @default Allow */
  readonly effect?: 'Deny';
  readonly actions: readonly string[];
  readonly resources: readonly (readonly [resource: string, pattern: string])[];
}

/**
 * An IoT policy of these statements.
 * @param remedy what to do if AWS would refuse the policy for its length
 * @throws Error if the policy is too long for AWS in the region with the longest name
 */
export function iotPolicy(
  scope: Construct,
  id: string,
  statements: readonly IotStatement[],
  remedy: string,
): CfnPolicy {
  const { length, place } = longest(statements);
  if (length > MAX_CHARACTERS) {
    throw new Error(
      `The IoT policy ${scope.node.path}/${id} has ${length} characters in ${place}, AWS takes ${MAX_CHARACTERS}: ${remedy}`,
    );
  }
  const document = documentOf(statements, (resource, pattern) => iotArn(scope, resource, pattern));
  return new CfnPolicy(scope, id, { policyDocument: document });
}

function documentOf(statements: readonly IotStatement[], arnOf: (resource: string, pattern: string) => string): object {
  return {
    Version: '2012-10-17',
    Statement: statements.map(({ effect = 'Allow', actions, resources }) => ({
      Effect: effect,
      Action: actions,
      Resource: resources.map(([resource, pattern]) => arnOf(resource, pattern)),
    })),
  };
}

/** The account and region are known only when the templates are deployed, so the longest ones are measured. */
function longest(statements: readonly IotStatement[]): { readonly length: number; readonly place: string } {
  const measured = RegionInfo.regions.map(({ name, partition = 'aws' }) => {
    const prefix = `arn:${partition}:iot:${name}:${'0'.repeat(12)}`;
    const document = documentOf(statements, (resource, pattern) => `${prefix}:${resource}/${pattern}`);
    return { length: JSON.stringify(document).length, place: `${name} (${partition})` };
  });
  return measured.reduce((most, each) => (each.length > most.length ? each : most));
}
