import { type Duration, Stack } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { IConstruct } from 'constructs';
import { METRICS } from '../../core/util/index.ts';

type MetricName = Exclude<keyof typeof METRICS, 'service'>;

/** A metric that the functions write. Its value is the sum over each period; of a level, the highest value. */
export function ownMetric(
  scope: IConstruct,
  name: MetricName,
  period: Duration,
  statistic: 'Sum' | 'Maximum' = 'Sum',
): Metric {
  return new Metric({
    namespace: metricNamespaceOf(scope),
    metricName: METRICS[name],
    dimensionsMap: { service: METRICS.service },
    statistic,
    period,
  });
}

/** The namespace of the metrics of one deployment: two in one account count apart. */
export const metricNamespaceOf = (scope: IConstruct): string => Stack.of(scope).stackName;
