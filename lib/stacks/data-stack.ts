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
    // The CLI would switch termination protection on before the first deployment, which could then not be removed if it
    // failed. Deleting the stack keeps what it holds.
    super(scope, id, { description: 'paku-ota: firmware and fleet data' });
    this.database = new Database(this, 'Database', { settings });
    this.firmware = new FirmwareStore(this, 'Firmware', { settings });
    this.linkSecret = new LinkSecret(this, 'LinkSecret', { settings });
  }
}
