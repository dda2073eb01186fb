import { Duration, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { ENV } from '../../core/util/index.ts';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import type { FrontDoor } from '../front-door/index.ts';
import type { DeviceIdentity } from '../provisioning/index.ts';
import { signingSettings } from '../settings/index.ts';
import type { WorkQueue } from '../shared/index.ts';

/** The queues by the names that operators redrive their dead letters by. */
export type WorkQueues = Readonly<Record<'status' | 'ota' | 'upload' | 'dispatch', WorkQueue>>;

export interface OperatorApiProps {
  readonly base: ServiceBase;
  readonly firmware: FirmwareStore;
  readonly frontDoor: FrontDoor;
  readonly identity: DeviceIdentity;
  readonly queues: WorkQueues;
  /** URL before the token of a download link, with its trailing slash. */
  readonly linkBaseUrl: string;
}

/** `/v1/*` for the command line, the console and everybody else whom IAM lets invoke it. */
export class OperatorApi extends Construct {
  readonly fn: DatabaseFunction;

  constructor(scope: Construct, id: string, { base, firmware, frontDoor, identity, ...props }: OperatorApiProps) {
    super(scope, id);
    const { settings } = base;
    const fn = new DatabaseFunction(this, 'Default', {
      name: 'operator-api',
      role: 'control',
      base,
      timeout: Duration.seconds(29),
      memorySize: 512,
    });
    firmware.grantUpload(fn);
    firmware.grantIdleMarker(fn);
    identity.grantRevoke(fn);
    identity.grantAskConnection(fn);
    fn.addEnvironment(ENV.devicePolicy, identity.allows);
    fn.addEnvironment(ENV.thingType, identity.thingType.ref);
    fn.addEnvironment(ENV.linkBaseUrl, props.linkBaseUrl);
    fn.addEnvironment(ENV.topicPrefix, settings.topicPrefix);
    fn.addEnvironment(ENV.commandFamily, settings.commandFamily);
    fn.addEnvironment(ENV.models, JSON.stringify(settings.models));
    fn.addEnvironment(ENV.signing, signingSettings(settings));
    fn.addEnvironment(ENV.requireApproval, String(settings.requireApproval));
    this.fn = fn;
    this.addQueues(props.queues);
    frontDoor.addSignedRoute({ id: 'Operator', path: '/v1/{proxy+}', fn });
  }

  private addQueues(queues: WorkQueues): void {
    const { fn } = this;
    for (const work of Object.values(queues)) work.grantRedrive(fn);
    const deadLetters = Object.entries(queues).map(([name, { deadLetters, queue }]) => [
      name,
      { url: deadLetters.queueUrl, arn: deadLetters.queueArn, sourceArn: queue.queueArn },
    ]);
    fn.addEnvironment(ENV.deadLetters, Stack.of(this).toJsonString(Object.fromEntries(deadLetters)));
    fn.addEnvironment(ENV.uploadQueueUrl, queues.upload.queue.queueUrl);
    fn.addEnvironment(ENV.dispatchQueueUrl, queues.dispatch.queue.queueUrl);
  }
}
