import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { METRICS } from '../../core/util/index.ts';

// The namespace is in the environment.
const metrics = new Metrics({ serviceName: METRICS.service });

/**
 * Writes counts to the log, from which CloudWatch extracts them. Zeros are written too, so that alarms have data to
 * evaluate.
 */
export function count(counts: Partial<Record<Exclude<keyof typeof METRICS, 'service'>, number>>): void {
  for (const [name, value] of Object.entries(counts)) {
    metrics.addMetric(METRICS[name as keyof typeof METRICS], MetricUnit.Count, value);
  }
  metrics.publishStoredMetrics();
}
