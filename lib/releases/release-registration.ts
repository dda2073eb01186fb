import { Duration } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import { RELEASES_PREFIX } from '../../core/protocol/index.ts';
import { ENV } from '../../core/util/index.ts';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import { ownMetric } from '../monitoring/index.ts';
import { signingSettings, trustsDetachedSignatures } from '../settings/index.ts';
import { WorkQueue } from '../shared/index.ts';

export interface ReleaseRegistrationProps {
  readonly base: ServiceBase;
  readonly firmware: FirmwareStore;
}

/** Uploads that become releases: the rule for new objects, their queue and the function that verifies them. */
export class ReleaseRegistration extends Construct {
  readonly fn: DatabaseFunction;
  readonly work: WorkQueue;

  constructor(scope: Construct, id: string, { base, firmware }: ReleaseRegistrationProps) {
    super(scope, id);
    const { settings, alarms } = base;
    const fn = new DatabaseFunction(this, 'Default', {
      name: 'register-release',
      role: 'control',
      base,
      timeout: Duration.minutes(2),
      memorySize: 512,
    });
    fn.addEnvironment(ENV.models, JSON.stringify(settings.models));
    fn.addEnvironment(ENV.signing, signingSettings(settings));
    firmware.grantRegister(fn);
    if (trustsDetachedSignatures(settings)) firmware.grantSignatures(fn);
    this.fn = fn;
    this.work = new WorkQueue(this, 'Queue', { fn, alarms, batchSize: 1 });
    this.queueUploads(firmware);
    alarms.add(this, 'RejectedUploadsAlarm', {
      metric: ownMetric(this, 'rejectedUploads', Duration.minutes(5)),
      description: 'An upload did not become a release.',
      section: 'rejected-uploads',
    });
  }

  private queueUploads({ bucket }: FirmwareStore): void {
    new Rule(this, 'Uploads', {
      description: 'Each object that people put into the firmware bucket',
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: {
          bucket: { name: [bucket.bucketName] },
          object: { key: [{ 'anything-but': { prefix: RELEASES_PREFIX } }] },
        },
      },
      targets: [new SqsQueue(this.work.queue, { deadLetterQueue: this.work.deadLetters })],
    });
  }
}
