import { loadAwsServiceSpec } from '@aws-cdk/aws-service-spec';

/** Metrics that AWS documents and the specification does not list, each with the page that names it. */
const ALSO_DOCUMENTED: Readonly<Record<string, string>> = {
  'AWS/RDS ACUUtilization [DBClusterIdentifier]':
    'https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html',
  'AWS/RDS ServerlessDatabaseCapacity [DBClusterIdentifier]':
    'https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html',
};

/** A metric of an alarm or a dashboard. */
export interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: readonly string[];
}

const nameOf = ({ namespace, name, dimensions }: Metric) =>
  `${namespace} ${name} [${[...dimensions].sort().join(', ')}]`;

/**
 * Those of the metrics that no service of AWS has with these dimensions, by AWS's specification (@aws-cdk/aws-service-spec)
 * and the documented exceptions. An alarm on such a metric never has data.
 */
export async function unknownMetrics(metrics: readonly Metric[]): Promise<string[]> {
  const spec = await loadAwsServiceSpec();
  const isKnown = (metric: Metric) =>
    spec
      .lookup('metric', 'namespace', 'equals', metric.namespace)
      .filter(({ name }) => name === metric.name)
      .flatMap((known) => spec.follow('usesDimensionSet', known))
      .some(
        ({ entity }) => nameOf({ ...metric, dimensions: entity.dimensions.map(({ name }) => name) }) === nameOf(metric),
      );
  const unknown = metrics.filter((metric) => !(nameOf(metric) in ALSO_DOCUMENTED) && !isKnown(metric));
  return [...new Set(unknown.map(nameOf))];
}
