import { Arn, ArnFormat, Stack } from 'aws-cdk-lib';
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IConstruct } from 'constructs';
import { acknowledgeWildcard } from './acknowledge.ts';

/** ARN of a resource of AWS IoT in the deployment's account and region, such as `iotArn(this, 'thing', '*')`. */
export function iotArn(scope: IConstruct, resource: string, resourceName: string): string {
  const arnFormat = ArnFormat.SLASH_RESOURCE_NAME;
  return Arn.format({ service: 'iot', resource, resourceName, arnFormat }, Stack.of(scope));
}

export interface IotWildcards {
  readonly actions: readonly string[];
  /** Kind and pattern of each resource, such as `['thing', '*']`. */
  readonly resources: readonly (readonly [resource: string, pattern: string])[];
  /** Patterns of the values that condition keys must have. */
  readonly like?: Readonly<Record<string, readonly string[]>>;
  /** Why the patterns cannot be narrower. */
  readonly reason: string;
}

/** Grants actions on patterns of IoT resources, and acknowledges each pattern to cdk-nag. */
export function grantIotWildcards(role: IRole, { actions, resources, like, reason }: IotWildcards): void {
  role.addToPrincipalPolicy(
    new PolicyStatement({
      actions: [...actions],
      resources: resources.map(([resource, pattern]) => iotArn(role, resource, pattern)),
      ...(like && { conditions: { StringLike: like } }),
    }),
  );
  for (const [resource, pattern] of resources) {
    // As cdk-nag writes the tokens of the ARN.
    const arn = `arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:${resource}/${pattern}`;
    acknowledgeWildcard(role, arn, reason);
  }
}
