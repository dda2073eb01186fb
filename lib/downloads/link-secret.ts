import { Validations } from 'aws-cdk-lib';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { ENV } from '../../core/util/index.ts';
import type { Settings } from '../settings/index.ts';
import { grantSecret, removalPolicyOf } from '../shared/index.ts';

/** The secret that signs download links. */
export class LinkSecret extends Construct {
  private readonly secret: Secret;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id);
    this.secret = new Secret(this, 'Default', {
      description: 'Signs download links; only dispatch and download may read it',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: removalPolicyOf(settings),
    });
    Validations.of(this.secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'A new value would break the links that devices hold; it is changed by hand if it ever leaks.',
    });
  }

  /** Lets a function sign and verify download links. */
  grant(fn: LambdaFunction): void {
    grantSecret(fn, this.secret);
    fn.addEnvironment(ENV.linkSecretArn, this.secret.secretArn);
  }
}
