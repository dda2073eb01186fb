import { Duration } from 'aws-cdk-lib';
import { ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { Construct } from 'constructs';
import { detailType, HALTED, type HaltNotice } from '../../core/policy/index.ts';
import { ENV } from '../../core/util/index.ts';
import { DatabaseFunction, type ServiceBase } from '../database/index.ts';
import type { Dispatch } from '../dispatch/index.ts';
import type { FirmwareStore } from '../firmware-store/index.ts';
import type { Ingestion } from '../ingestion/index.ts';
import { type Alarms, ownMetric } from '../monitoring/index.ts';
import type { DeviceIdentity } from '../provisioning/index.ts';
import { eventSourceOf, signingSettings } from '../settings/index.ts';
import { scheduleFunction } from './schedule.ts';

/** Levels are written every five minutes while the service is awake; in idle mode an alarm keeps its state. */
const LEVEL_PERIOD = Duration.minutes(10);

export interface OrchestrationProps {
  readonly base: ServiceBase;
  /** Holds the idle marker. */
  readonly firmware: FirmwareStore;
  readonly dispatch: Dispatch;
  /** Its queues hold messages that silence is evaluated after. */
  readonly ingestion: Ingestion;
  /** Its devices, whose older certificates the function revokes. */
  readonly identity: DeviceIdentity;
}

/** The orchestrator: the function that drives rollouts, its schedule, its events, and the alarms on halts and delays. */
export class Orchestration extends Construct {
  readonly fn: DatabaseFunction;

  constructor(scope: Construct, id: string, { base, firmware, dispatch, ingestion, identity }: OrchestrationProps) {
    super(scope, id);
    const { settings, alarms } = base;
    const fn = new DatabaseFunction(this, 'Default', {
      name: 'orchestrate',
      role: 'control',
      base,
      timeout: Duration.seconds(75),
    });
    firmware.grantIdleMarker(fn);
    dispatch.grantSend(fn);
    ingestion.grantCount(fn);
    identity.grantRevokeOlder(fn);
    fn.addEnvironment(ENV.thingType, identity.thingType.ref);
    fn.addEnvironment(ENV.revokeOlderCertificates, String(settings.revokeOlderCertificates));
    scheduleFunction(this, fn, settings.scheduleMinutes);
    // Events go to the account's default bus, where users connect their own targets.
    const bus = EventBus.fromEventBusName(this, 'DefaultBus', 'default');
    bus.grantPutEventsTo(fn);
    fn.addEnvironment(ENV.eventBus, bus.eventBusName);
    fn.addEnvironment(ENV.eventSource, eventSourceOf(settings.name));
    fn.addEnvironment(ENV.historyDays, String(settings.historyDays));
    fn.addEnvironment(ENV.models, JSON.stringify(settings.models));
    fn.addEnvironment(ENV.signing, signingSettings(settings));
    fn.addEnvironment(ENV.requireApproval, String(settings.requireApproval));
    this.fn = fn;
    this.addAlarms(alarms, settings.scheduleMinutes);
  }

  private addAlarms(alarms: Alarms, scheduleMinutes: number): void {
    const limit = Duration.minutes(Math.max(5, 3 * scheduleMinutes));
    alarms.add(this, 'LateAlarm', {
      metric: ownMetric(this, 'ticks', limit),
      description: `The orchestrator has not come to the end of a tick for ${limit.toMinutes()} minutes: rollouts stand still.`,
      section: 'orchestrator-late',
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      treatMissingData: TreatMissingData.BREACHING,
    });
    alarms.add(this, 'RolloutHaltedAlarm', {
      metric: ownMetric(this, 'rolloutsHalted', Duration.minutes(5)),
      description: 'A rollout stopped itself: too many of its devices failed.',
      section: 'rollout-halted',
      notifies: false,
    });
    const level = { treatMissingData: TreatMissingData.IGNORE };
    alarms.add(this, 'StalledRolloutAlarm', {
      metric: ownMetric(this, 'stalledRollouts', LEVEL_PERIOD, 'Maximum'),
      description: 'A rollout cannot go on by itself, and nothing has ended or begun in it for a day.',
      section: 'rollout-stalled',
      ...level,
    });
    alarms.add(this, 'UnverifiedBytesAlarm', {
      metric: ownMetric(this, 'unverifiedDevices', LEVEL_PERIOD, 'Maximum'),
      description: 'A device runs an image although it reported that its verification failed.',
      section: 'unverified-bytes',
      ...level,
    });
    const of = (line: keyof HaltNotice) => `$.detail.notification.${line}`;
    alarms.addNotice(this, 'RolloutHaltedNotice', {
      detailType: detailType(HALTED),
      lines: [
        ['Halted', of('summary')],
        ['Reason', of('reason')],
        ['Devices', of('devices')],
        ['First failures', of('failures')],
        ['Look', of('look')],
        ['Abort a bad build', of('abort')],
        ['Send back the version before', of('recover')],
      ],
      section: 'rollout-halted',
    });
  }
}
