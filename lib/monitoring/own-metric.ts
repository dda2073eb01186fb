import type { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { METRICS } from '../../core/util/index.ts';

/** A metric that the functions write; its value is the sum over each period. */
export function ownMetric(name: Exclude<keyof typeof METRICS, 'namespace' | 'service'>, period: Duration): Metric {
  return new Metric({
    namespace: METRICS.namespace,
    metricName: METRICS[name],
    dimensionsMap: { service: METRICS.service },
    statistic: 'Sum',
    period,
  });
}
