import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Database } from '../database/index.ts';
import { LinkSecret } from '../downloads/index.ts';
import { FirmwareStore } from '../firmware-store/index.ts';
import type { Settings } from '../settings/index.ts';

/** What must never be lost: the database, the firmware, and the secret that signs download links. */
export class DataStack extends Stack {
  readonly database: Database;
  readonly firmware: FirmwareStore;
  readonly linkSecret: LinkSecret;

  constructor(scope: Construct, id: string, { settings }: { readonly settings: Settings }) {
    super(scope, id, {
      description: 'paku-ota: firmware and fleet data',
      terminationProtection: settings.dataRemovalPolicy === 'retain',
    });
    this.database = new Database(this, 'Database', { settings });
    this.firmware = new FirmwareStore(this, 'Firmware', { settings });
    this.linkSecret = new LinkSecret(this, 'LinkSecret', { settings });
  }
}
