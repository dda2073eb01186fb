import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';

/** Lets a function read a secret. The CDK's `grantRead` would also let it describe the secret. */
export function grantSecret(fn: LambdaFunction, { secretArn }: Pick<ISecret, 'secretArn'>): void {
  fn.addToRolePolicy(new PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources: [secretArn] }));
}
