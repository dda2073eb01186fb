import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { ENV } from '../../core/util/index.ts';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import type { FrontDoor } from '../front-door/index.ts';
import { signingSettings } from '../settings/index.ts';
import type { LinkSecret } from './link-secret.ts';

export interface DownloadsProps {
  readonly base: ServiceBase;
  readonly firmware: FirmwareStore;
  readonly linkSecret: LinkSecret;
  readonly frontDoor: FrontDoor;
}

/** `GET /d/{token}`: redirects a device to its image, or sends the image. */
export class Downloads extends Construct {
  readonly fn: DatabaseFunction;
  /** URL before the token of a download link, with its trailing slash. */
  readonly linkBaseUrl: string;

  constructor(scope: Construct, id: string, { base, firmware, linkSecret, frontDoor }: DownloadsProps) {
    super(scope, id);
    const fn = new DatabaseFunction(this, 'Default', {
      name: 'download',
      role: 'public',
      base,
      timeout: Duration.seconds(29),
      memorySize: 512,
    });
    linkSecret.grant(fn);
    firmware.grantReadReleases(fn);
    fn.addEnvironment(ENV.models, JSON.stringify(base.settings.models));
    fn.addEnvironment(ENV.signing, signingSettings(base.settings));
    frontDoor.addPublicRoute({
      id: 'Download',
      path: '/d/{token}',
      fn,
      reason: 'Field devices cannot sign requests; each link carries an HMAC and ends with its update.',
    });
    this.fn = fn;
    this.linkBaseUrl = `${frontDoor.url}/d/`;
  }
}
