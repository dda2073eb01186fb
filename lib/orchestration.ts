import { Duration, Stack } from 'aws-cdk-lib';
import { ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { type IRole, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Schedule, ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';
import { ENV } from '../core/util/index.ts';
import type { Alarms } from './alarms.ts';
import type { OtaFunction } from './ota-function.ts';
import { ownMetric } from './own-metric.ts';
import type { Settings } from './settings.ts';

export interface OrchestrationProps {
  /** Looks at every rollout once a call. */
  readonly fn: OtaFunction;
  readonly alarms: Alarms;
  readonly settings: Settings;
}

/** What calls the orchestrator, whom it tells about rollouts, and the alarms for when it is late or has halted one. */
export class Orchestration extends Construct {
  constructor(scope: Construct, id: string, { fn, alarms, settings }: OrchestrationProps) {
    super(scope, id);
    this.schedule(fn, settings.scheduleMinutes);
    // The account's default bus, for whatever the user connects.
    const bus = EventBus.fromEventBusName(this, 'DefaultBus', 'default');
    bus.grantPutEventsTo(fn);
    fn.addEnvironment(ENV.eventBus, bus.eventBusName);
    fn.addEnvironment(ENV.historyDays, String(settings.historyDays));
    this.alarmLate(alarms, settings.scheduleMinutes);
    alarms.add(this, 'RolloutHaltedAlarm', {
      metric: ownMetric('rolloutsHalted', Duration.minutes(5)),
      description: 'A rollout stopped itself: too many of its devices failed.',
      section: 'rollout-halted',
    });
  }

  private schedule(fn: OtaFunction, minutes: number): void {
    // A stale tick is worth nothing: the next one sees the same and more.
    const dropped = { retryAttempts: 0, maxEventAge: Duration.seconds(60) };
    fn.configureAsyncInvoke(dropped);
    new Schedule(this, 'Schedule', {
      schedule: ScheduleExpression.rate(Duration.minutes(minutes)),
      target: new LambdaInvoke(fn, { ...dropped, role: this.schedulerRole(fn) }),
    });
  }

  /** May invoke this one function; what the CDK would add lets it invoke every version of it as well. */
  private schedulerRole(fn: OtaFunction): IRole {
    const stack = Stack.of(this);
    const group = { service: 'scheduler', resource: 'schedule-group', resourceName: 'default' };
    const role = new Role(this, 'SchedulerRole', {
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': stack.account, 'aws:SourceArn': stack.formatArn(group) } },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [fn.functionArn] }));
    return role.withoutPolicyUpdates();
  }

  private alarmLate(alarms: Alarms, minutes: number): void {
    const patience = Duration.minutes(Math.max(5, 3 * minutes));
    alarms.add(this, 'LateAlarm', {
      metric: ownMetric('ticks', patience),
      description: `The orchestrator has not come to the end of a tick for ${patience.toMinutes()} minutes: rollouts stand still.`,
      section: 'orchestrator-late',
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      treatMissingData: TreatMissingData.BREACHING,
    });
  }
}
