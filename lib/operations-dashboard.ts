import { Duration } from 'aws-cdk-lib';
import { AlarmStatusWidget, Dashboard, GraphWidget, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import type { Alarms } from './alarms.ts';
import type { OtaFunction } from './ota-function.ts';
import { ownMetric } from './own-metric.ts';

export interface OperationsDashboardProps {
  readonly alarms: Alarms;
  readonly functions: readonly OtaFunction[];
  /** From the constructs that own what they show, a row each. */
  readonly graphs: readonly (readonly IWidget[])[];
}

const WHOLE_WIDTH = 24;

/** The service at a glance: which alarms are off, and the numbers behind them. The fleet is not here, its rows tell more. */
export class OperationsDashboard extends Dashboard {
  constructor(scope: Construct, id: string, { alarms, functions, graphs }: OperationsDashboardProps) {
    super(scope, id, { defaultInterval: Duration.days(1) });
    this.addWidgets(new AlarmStatusWidget({ title: 'Alarms', alarms: alarms.all, width: WHOLE_WIDTH, height: 5 }));
    this.addWidgets(...ownGraphs(), ...functionGraphs(functions));
    for (const row of graphs) this.addWidgets(...row);
  }
}

function ownGraphs(): IWidget[] {
  const period = Duration.minutes(5);
  return [
    new GraphWidget({ title: 'Orchestrator', left: [ownMetric('ticks', period), ownMetric('rolloutsHalted', period)] }),
    new GraphWidget({
      title: 'Rejected',
      left: [ownMetric('rejectedMessages', period), ownMetric('rejectedUploads', period)],
    }),
  ];
}

function functionGraphs(functions: readonly OtaFunction[]): IWidget[] {
  const label = (fn: OtaFunction) => ({ label: fn.node.id });
  return [
    new GraphWidget({ title: 'Functions: errors', left: functions.map((fn) => fn.metricErrors(label(fn))) }),
    new GraphWidget({
      title: 'Functions: duration, p95',
      left: functions.map((fn) => fn.metricDuration({ ...label(fn), statistic: 'p95' })),
    }),
  ];
}
