import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/**
 * States why a policy with a wildcard is as narrow as it can be. cdk-nag takes one acknowledgement a wildcard, by its very
 * text, so that a new or wider one fails synth.
 */
export function acknowledgeWildcard(scope: IConstruct, resource: string, reason: string): void {
  Validations.of(scope).acknowledge({ id: `AwsSolutions-IAM5[Resource::${resource}]`, reason });
}
