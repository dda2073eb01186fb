import type { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { METRICS } from '../../core/util/index.ts';

type MetricName = Exclude<keyof typeof METRICS, 'namespace' | 'service'>;

/** A metric that the functions write. Its value is the sum over each period; of a level, the highest value. */
export function ownMetric(name: MetricName, period: Duration, statistic: 'Sum' | 'Maximum' = 'Sum'): Metric {
  return new Metric({
    namespace: METRICS.namespace,
    metricName: METRICS[name],
    dimensionsMap: { service: METRICS.service },
    statistic,
    period,
  });
}
