import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { ENV } from '../core/util/index.ts';
import { Database } from './database.ts';
import { FirmwareStore } from './firmware-store.ts';
import { grantSecret } from './grant-secret.ts';
import type { Settings } from './settings.ts';

/** What must never be lost: the database, the firmware, the secret that download links are signed with. */
export class DataStack extends Stack {
  readonly database: Database;
  readonly firmware: FirmwareStore;
  private readonly linkSecret: Secret;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id, {
      description: 'paku-ota: firmware and fleet data',
      terminationProtection: settings.dataRemovalPolicy === 'retain',
    });
    this.database = new Database(this, 'Database', { settings });
    this.firmware = new FirmwareStore(this, 'Firmware', { settings });
    this.linkSecret = new Secret(this, 'LinkSecret', {
      description: 'Signs download links; only dispatch and download may read it',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: settings.dataRemovalPolicy === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    Validations.of(this.linkSecret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'A new value would break the links that devices hold; it is changed by hand if it ever leaks.',
    });
  }

  /** Lets a function make download links and check them. */
  grantLinks(fn: LambdaFunction): void {
    grantSecret(fn, this.linkSecret);
    fn.addEnvironment(ENV.linkSecretArn, this.linkSecret.secretArn);
  }
}
