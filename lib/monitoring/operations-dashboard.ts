import { Duration } from 'aws-cdk-lib';
import { AlarmStatusWidget, Dashboard, GraphWidget, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { Alarms } from './alarms.ts';
import { constructName } from './construct-name.ts';
import { ownMetric } from './own-metric.ts';

export interface OperationsDashboardProps {
  readonly alarms: Alarms;
  readonly functions: readonly LambdaFunction[];
  /** Rows of graphs, each made by the construct that owns the metrics. */
  readonly graphs: readonly (readonly IWidget[])[];
}

const WHOLE_WIDTH = 24;

/** Health of the service: the state of each alarm and the metrics behind it. Fleet data is in the database, not here. */
export class OperationsDashboard extends Dashboard {
  constructor(scope: Construct, id: string, { alarms, functions, graphs }: OperationsDashboardProps) {
    super(scope, id, { defaultInterval: Duration.days(1) });
    this.addWidgets(new AlarmStatusWidget({ title: 'Alarms', alarms: alarms.all, width: WHOLE_WIDTH, height: 5 }));
    this.addWidgets(...ownGraphs(this), ...functionGraphs(functions));
    for (const row of graphs) this.addWidgets(...row);
  }
}

function ownGraphs(scope: Construct): IWidget[] {
  const period = Duration.minutes(5);
  const own = (name: Parameters<typeof ownMetric>[1], statistic?: 'Maximum') =>
    ownMetric(scope, name, period, statistic);
  return [
    new GraphWidget({ title: 'Orchestrator', left: [own('ticks'), own('rolloutsHalted')] }),
    new GraphWidget({
      title: 'Need attention',
      left: [own('stalledRollouts', 'Maximum'), own('unverifiedDevices', 'Maximum')],
    }),
    new GraphWidget({
      title: 'Rejected',
      left: [own('rejectedMessages'), own('rejectedUploads')],
    }),
  ];
}

function functionGraphs(functions: readonly LambdaFunction[]): IWidget[] {
  const label = (fn: LambdaFunction) => ({ label: constructName(fn) });
  return [
    new GraphWidget({ title: 'Functions: errors', left: functions.map((fn) => fn.metricErrors(label(fn))) }),
    new GraphWidget({
      title: 'Functions: duration, p95',
      left: functions.map((fn) => fn.metricDuration({ ...label(fn), statistic: 'p95' })),
    }),
  ];
}
