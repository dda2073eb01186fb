import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { MAX_COMMANDS_AT_ONCE, RELEASES_PREFIX } from '../core/policy/index.ts';
import { ENV } from '../core/util/index.ts';
import { acknowledgeWildcard } from './acknowledge.ts';
import { Alarms } from './alarms.ts';
import type { DataStack } from './data-stack.ts';
import { DeviceIdentity } from './device-identity.ts';
import { FrontDoor } from './front-door.ts';
import { Migration } from './migration.ts';
import { OperationsDashboard } from './operations-dashboard.ts';
import { Orchestration } from './orchestration.ts';
import { OtaFunction } from './ota-function.ts';
import { ownMetric } from './own-metric.ts';
import { Provisioning } from './provisioning.ts';
import { type Settings, signingSettings, trustsDetachedSignatures } from './settings.ts';
import { QueueRule } from './topic-rules.ts';
import { WorkQueue } from './work-queue.ts';

/** AWS IoT waits no longer for the function that it asks (IoT developer guide, "Pre-provisioning hooks"). */
const HOOK_TIMEOUT = Duration.seconds(5);

export interface ServiceStackProps {
  readonly settings: Settings;
  readonly data: DataStack;
}

/** Everything that can be made anew: rules, queues, functions, the front door, device identity. */
export class ServiceStack extends Stack {
  private readonly settings: Settings;
  private readonly data: DataStack;
  private readonly alarms: Alarms;
  private readonly migration: Migration;
  private readonly functions: OtaFunction[] = [];

  constructor(scope: Construct, id: string, { settings, data }: ServiceStackProps) {
    super(scope, id, { description: 'paku-ota: firmware updates for ESP32 fleets' });
    this.settings = settings;
    this.data = data;
    this.addStackDependency(data);
    this.alarms = new Alarms(this, 'Alarms', { settings });
    this.migration = new Migration(this, 'Migration', { settings, alarms: this.alarms, database: data.database });

    const identity = new DeviceIdentity(this, 'DeviceIdentity', { settings });
    const hook = this.fn('ProvisioningHook', 'provisioning-hook', HOOK_TIMEOUT, 512);
    const provisioning = new Provisioning(this, 'Provisioning', { identity, hook });
    const frontDoor = new FrontDoor(this, 'FrontDoor', { settings, alarms: this.alarms });
    const dispatch = this.dispatch(frontDoor.linkBaseUrl);
    this.download(frontDoor);
    this.orchestrate(dispatch);
    const status = this.ingestStatus(dispatch);
    const ota = this.ingestOta();
    const upload = this.registerRelease();
    const queues = { status, ota, upload, dispatch };
    this.operatorApi(frontDoor, identity, queues);
    this.alarmRejections();
    data.database.alarmAtCapacity(this, this.alarms);
    const dashboard = new OperationsDashboard(this, 'Dashboard', {
      alarms: this.alarms,
      functions: this.functions,
      graphs: [Object.values(queues).map((work) => work.graph()), [frontDoor.graph(), data.database.graph()]],
    });

    new CfnOutput(this, 'FirmwareBucket', { value: data.firmware.bucket.bucketName });
    new CfnOutput(this, 'ApiUrl', { value: frontDoor.url });
    new CfnOutput(this, 'DashboardName', { value: dashboard.dashboardName });
    new CfnOutput(this, 'DevicePolicy', { value: identity.policy.ref });
    new CfnOutput(this, 'DeviceThingType', { value: identity.thingType.ref });
    new CfnOutput(this, 'DeviceThingGroup', { value: identity.thingGroup.ref });
    new CfnOutput(this, 'ProvisioningTemplate', { value: provisioning.template.ref });
    new CfnOutput(this, 'ProvisioningClaimPolicy', { value: provisioning.claimPolicy.ref });
  }

  private ingestStatus(dispatch: WorkQueue): WorkQueue {
    const fn = this.fn('IngestStatus', 'ingest-status', Duration.seconds(60));
    this.followRest(fn);
    dispatch.grantSend(fn);
    fn.addEnvironment(ENV.dispatchQueueUrl, dispatch.queue.queueUrl);
    const work = new WorkQueue(this, 'StatusQueue', {
      fn,
      alarms: this.alarms,
      batchSize: 1_000,
      batchWindow: Duration.seconds(1),
    });
    this.route('StatusRules', work, fn, [`${this.settings.topicPrefix}/edge/+/status`]);
    return work;
  }

  private ingestOta(): WorkQueue {
    const fn = this.fn('IngestOta', 'ingest-ota', Duration.seconds(60));
    const work = new WorkQueue(this, 'OtaQueue', {
      fn,
      alarms: this.alarms,
      batchSize: 500,
      batchWindow: Duration.seconds(1),
    });
    const { topicPrefix: prefix } = this.settings;
    this.route('OtaRules', work, fn, [`${prefix}/devices/+/ota/+`, `${prefix}/edge/+/ota/+`]);
    return work;
  }

  private registerRelease(): WorkQueue {
    const fn = this.fn('RegisterRelease', 'register-release', Duration.minutes(2), 512);
    fn.addEnvironment(ENV.models, JSON.stringify(this.settings.models));
    fn.addEnvironment(ENV.signing, signingSettings(this.settings));
    this.data.firmware.grantRegister(fn);
    if (trustsDetachedSignatures(this.settings)) this.data.firmware.grantSignatures(fn);
    // It may write all of releases/, the marker too.
    fn.addEnvironment(ENV.idleSweepMinutes, String(this.settings.idleSweepMinutes));
    const work = new WorkQueue(this, 'UploadQueue', { fn, alarms: this.alarms, batchSize: 1 });
    new Rule(this, 'Uploads', {
      description: 'Each object that people put into the firmware bucket',
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: {
          bucket: { name: [this.data.firmware.bucket.bucketName] },
          object: { key: [{ 'anything-but': { prefix: RELEASES_PREFIX } }] },
        },
      },
      targets: [new SqsQueue(work.queue, { deadLetterQueue: work.deadLetters })],
    });
    return work;
  }

  private dispatch(linkBaseUrl: string): WorkQueue {
    const { settings } = this;
    const fn = this.fn('Dispatch', 'dispatch', Duration.seconds(60));
    this.data.grantLinks(fn);
    // It presigns only where a model wants that; otherwise download does.
    if (Object.values(settings.models).some(({ delivery }) => delivery === 'presigned'))
      this.data.firmware.grantReadReleases(fn);
    fn.addEnvironment(ENV.firmwareBucket, this.data.firmware.bucket.bucketName);
    fn.addEnvironment(ENV.linkBaseUrl, linkBaseUrl);
    fn.addEnvironment(ENV.topicPrefix, settings.topicPrefix);
    fn.addEnvironment(ENV.commandFamily, settings.commandFamily);
    fn.addEnvironment(ENV.commandTransport, settings.commandTransport);
    fn.addEnvironment(ENV.models, JSON.stringify(settings.models));
    this.grantCommands(fn);
    return new WorkQueue(this, 'DispatchQueue', {
      fn,
      alarms: this.alarms,
      batchSize: MAX_COMMANDS_AT_ONCE,
      batchWindow: Duration.seconds(1),
    });
  }

  /** Devices are addressed by client id and topic; which of the two AWS asks for is not documented, so both are granted. */
  private grantCommands(fn: OtaFunction): void {
    const { commandTransport, topicPrefix } = this.settings;
    const topics = ['devices', 'edge'].map((family) => `topic/${topicPrefix}/${family}/*/cmd/ota`);
    const direct = commandTransport === 'direct';
    const resources = direct ? ['client/*', ...topics] : topics;
    fn.addToRolePolicy(
      new PolicyStatement({
        actions: [direct ? 'iot:SendDirectMessage' : 'iot:Publish'],
        resources: resources.map((name) => this.formatArn({ service: 'iot', resource: name })),
      }),
    );
    for (const name of resources) {
      const arn = `arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:${name}`;
      acknowledgeWildcard(fn.role ?? fn, arn, 'Any registered device may be commanded; nothing but its command topic.');
    }
  }

  private download(frontDoor: FrontDoor): void {
    const fn = this.fn('Download', 'download', Duration.seconds(29), 512);
    this.data.grantLinks(fn);
    this.data.firmware.grantReadReleases(fn);
    fn.addEnvironment(ENV.models, JSON.stringify(this.settings.models));
    frontDoor.addDownloads(fn);
  }

  /** `/v1/*` for the command line, the console and whoever has the IAM permission. */
  private operatorApi(
    frontDoor: FrontDoor,
    identity: DeviceIdentity,
    queues: Record<'status' | 'ota' | 'upload' | 'dispatch', WorkQueue>,
  ): void {
    const { settings } = this;
    const fn = this.fn('OperatorApi', 'operator-api', Duration.seconds(29), 512);
    this.data.firmware.grantUpload(fn);
    this.followRest(fn);
    identity.grantRevoke(fn);
    fn.addEnvironment(ENV.thingType, identity.thingType.ref);
    const { upload, dispatch } = queues;
    for (const work of Object.values(queues)) work.grantRedrive(fn);
    const deadLetters = Object.entries(queues).map(([name, { deadLetters, queue }]) => [
      name,
      { url: deadLetters.queueUrl, arn: deadLetters.queueArn, sourceArn: queue.queueArn },
    ]);
    fn.addEnvironment(ENV.deadLetters, this.toJsonString(Object.fromEntries(deadLetters)));
    fn.addEnvironment(ENV.uploadQueueUrl, upload.queue.queueUrl);
    fn.addEnvironment(ENV.dispatchQueueUrl, dispatch.queue.queueUrl);
    fn.addEnvironment(ENV.linkBaseUrl, frontDoor.linkBaseUrl);
    fn.addEnvironment(ENV.topicPrefix, settings.topicPrefix);
    fn.addEnvironment(ENV.commandFamily, settings.commandFamily);
    fn.addEnvironment(ENV.models, JSON.stringify(settings.models));
    frontDoor.addOperatorApi(fn);
  }

  private orchestrate(dispatch: WorkQueue): void {
    const fn = this.fn('Orchestrate', 'orchestrate', Duration.seconds(75));
    this.followRest(fn);
    dispatch.grantSend(fn);
    fn.addEnvironment(ENV.dispatchQueueUrl, dispatch.queue.queueUrl);
    new Orchestration(this, 'Orchestration', { fn, alarms: this.alarms, settings: this.settings });
  }

  private followRest(fn: OtaFunction): void {
    this.data.firmware.grantRestMarker(fn);
    fn.addEnvironment(ENV.idleSweepMinutes, String(this.settings.idleSweepMinutes));
  }

  /** A device that is wrong is so with each message: an hour is long enough for one mail instead of many. */
  private alarmRejections(): void {
    this.alarms.add(this, 'RejectedMessagesAlarm', {
      metric: ownMetric('rejectedMessages', Duration.hours(1)),
      description: 'Devices sent messages that could not be taken.',
      section: 'rejected-messages',
    });
    this.alarms.add(this, 'RejectedUploadsAlarm', {
      metric: ownMetric('rejectedUploads', Duration.minutes(5)),
      description: 'An upload did not become a release.',
      section: 'rejected-uploads',
    });
  }

  private route(id: string, work: WorkQueue, fn: OtaFunction, topicFilters: string[]): void {
    const undelivered = work.addQueue('Undelivered');
    new QueueRule(this, id, { topicFilters, queue: work.queue, undelivered });
    fn.addEnvironment(ENV.undeliveredQueueArn, undelivered.queueArn);
    this.alarms.add(this, `${id}UndeliveredAlarm`, {
      metric: undelivered.metricNumberOfMessagesSent({ period: Duration.minutes(5) }),
      description: `A rule of ${id} could not put messages on their queue; its error action put them on another.`,
      section: 'undelivered-messages',
    });
  }

  private fn(id: string, name: string, timeout: Duration, memorySize?: number): OtaFunction {
    const { settings } = this;
    const fn = new OtaFunction(this, id, {
      name,
      settings,
      alarms: this.alarms,
      timeout,
      ...(memorySize === undefined ? {} : { memorySize }),
    });
    this.data.database.grantApp(fn);
    fn.node.addDependency(this.migration);
    this.functions.push(fn);
    return fn;
  }
}
