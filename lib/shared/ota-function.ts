import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { type IRole, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { type BundlingOptions, NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { ENV } from '../../core/util/index.ts';
import { type Alarms, metricNamespaceOf } from '../monitoring/index.ts';
import type { Settings } from '../settings/index.ts';
import { acknowledgeWildcard } from './acknowledge.ts';

export interface OtaFunctionProps {
  /** Folder in lambdas/ that holds handler.ts. */
  readonly name: string;
  readonly settings: Settings;
  /** Undefined: its failure is seen where it is called. */
  readonly alarms?: Alarms;
  readonly timeout: Duration;
  /** In MiB. @default 256 */
  readonly memorySize?: number;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** CommonJS dependencies in a bundle that is an ES module still call `require` for Node's own modules. */
const REQUIRE_BANNER = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;

/** The AWS SDK is bundled because the runtime's copy may be older than SendDirectMessage. */
const BUNDLING: BundlingOptions = {
  format: OutputFormat.ESM,
  // The local system runs the same bytes on Node 20.
  target: 'node20',
  minify: true,
  sourceMap: true,
  sourcesContent: false,
  bundleAwsSDK: true,
  mainFields: ['module', 'main'],
  banner: REQUIRE_BANNER,
  loader: { '.sql': 'text' },
  tsconfig: `${ROOT}tsconfig.json`,
  esbuildArgs: {
    '--alias:zod': `${ROOT}lambdas/shared/zod-without-locales.js`,
    // esbuild applies an alias to the subpaths of a package too, and the file above imports this one.
    '--alias:zod/v4': 'zod/v4',
    '--alias:@asteasolutions/zod-to-openapi': `${ROOT}lambdas/shared/openapi-without-generators.js`,
    '--alias:@aws-sdk/credential-provider-node': `${ROOT}lambdas/shared/credentials-from-environment.js`,
    '--alias:@smithy/core/event-streams': `${ROOT}lambdas/shared/no-event-streams.js`,
  },
};

/** A single error can be a database that took long to resume, and its event is retried; two in this time are not. */
const ERROR_PERIOD = Duration.minutes(30);

/**
 * A function of lambdas/ with its role, its log group and, given alarms, one on its errors. The id `Default` gives the function the
 * logical id of its scope: it is the main resource of its capability.
 */
export class OtaFunction extends NodejsFunction {
  declare readonly role: IRole;

  constructor(scope: Construct, id: string, { name, settings, alarms, timeout, memorySize = 256 }: OtaFunctionProps) {
    const prefix = id === 'Default' ? '' : id;
    const logGroup = new LogGroup(scope, `${prefix}Logs`, {
      retention: settings.logRetentionDays as RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(scope, `${prefix}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    super(scope, id, {
      entry: `${ROOT}lambdas/${name}/handler.ts`,
      projectRoot: ROOT,
      depsLockFilePath: `${ROOT}package-lock.json`,
      handler: 'handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      tracing: Tracing.ACTIVE,
      awsSdkConnectionReuse: false,
      timeout,
      memorySize,
      environment: { NODE_OPTIONS: '--enable-source-maps', [ENV.metricNamespace]: metricNamespaceOf(scope) },
      role,
      logGroup,
      bundling: BUNDLING,
    });
    acknowledgeWildcard(role, '*', 'X-Ray takes trace segments for no resource in particular.');
    alarms?.add(this, 'ErrorsAlarm', {
      metric: this.metricErrors({ period: ERROR_PERIOD }),
      description: `The function ${name} failed more than once in ${ERROR_PERIOD.toMinutes()} minutes.`,
      section: 'function-errors',
      threshold: 2,
    });
  }
}
