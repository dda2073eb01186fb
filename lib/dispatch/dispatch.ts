import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { MAX_COMMANDS_AT_ONCE } from '../../core/protocol/index.ts';
import { ENV } from '../../core/util/index.ts';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import type { LinkSecret } from '../downloads/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import { ownMetric } from '../monitoring/index.ts';
import { type Settings, signingSettings } from '../settings/index.ts';
import { grantIotWildcards, WorkQueue } from '../shared/index.ts';

export interface DispatchProps {
  readonly base: ServiceBase;
  readonly firmware: FirmwareStore;
  readonly linkSecret: LinkSecret;
  /** URL before the token of a download link, with its trailing slash. */
  readonly linkBaseUrl: string;
}

/** Sends commands to devices: the queue of pending updates and the function that handles it. */
export class Dispatch extends Construct {
  readonly fn: DatabaseFunction;
  readonly work: WorkQueue;

  constructor(scope: Construct, id: string, { base, firmware, linkSecret, linkBaseUrl }: DispatchProps) {
    super(scope, id);
    const { settings, alarms } = base;
    const fn = new DatabaseFunction(this, 'Default', {
      name: 'dispatch',
      role: 'control',
      base,
      timeout: Duration.seconds(60),
    });
    linkSecret.grant(fn);
    // Images of every other model are presigned by the download function.
    if (Object.values(settings.models).some(({ delivery }) => delivery === 'presigned')) firmware.grantReadReleases(fn);
    fn.addEnvironment(ENV.firmwareBucket, firmware.bucket.bucketName);
    fn.addEnvironment(ENV.linkBaseUrl, linkBaseUrl);
    fn.addEnvironment(ENV.topicPrefix, settings.topicPrefix);
    fn.addEnvironment(ENV.commandFamily, settings.commandFamily);
    fn.addEnvironment(ENV.commandTransport, settings.commandTransport);
    fn.addEnvironment(ENV.models, JSON.stringify(settings.models));
    fn.addEnvironment(ENV.signing, signingSettings(settings));
    grantCommands(fn, settings);
    // One command in a hundred is denied once without a cause; three denials in a row are not chance.
    alarms.add(this, 'DeniedAlarm', {
      metric: ownMetric(this, 'deniedCommands', Duration.minutes(5)),
      evaluationPeriods: 3,
      description: 'For 15 minutes AWS IoT has denied commands to the service; their devices are not updated.',
      section: 'denied-commands',
    });
    this.fn = fn;
    this.work = new WorkQueue(this, 'Queue', {
      fn,
      alarms,
      batchSize: MAX_COMMANDS_AT_ONCE,
      batchWindow: Duration.seconds(1),
    });
  }

  /** Lets a function queue pending updates, and tells it the queue. */
  grantSend(fn: DatabaseFunction): void {
    this.work.grantSend(fn);
    fn.addEnvironment(ENV.dispatchQueueUrl, this.work.queue.queueUrl);
  }
}

/**
 * A published command is authorized by its topic. A direct message is authorized by its client, with the topic as
 * condition key (Service Authorization Reference).
 */
function grantCommands({ role }: DatabaseFunction, { commandTransport, topicPrefix }: Settings): void {
  const topics = ['devices', 'edge'].map((family) => `${topicPrefix}/${family}/*/cmd/ota`);
  const reason = 'Any registered device may be commanded, on the command topic of a device.';
  if (commandTransport === 'direct') {
    const like = { 'iot:Topic': topics };
    grantIotWildcards(role, { actions: ['iot:SendDirectMessage'], resources: [['client', '*']], like, reason });
  } else {
    const resources = topics.map((topic) => ['topic', topic] as const);
    grantIotWildcards(role, { actions: ['iot:Publish'], resources, reason });
  }
  grantIotWildcards(role, {
    actions: ['iot:ListSubscriptions'],
    resources: [['client', '*']],
    reason: 'Any registered device may be asked which command topic it listens on.',
  });
}
