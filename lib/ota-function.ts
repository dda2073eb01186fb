import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledge.ts';
import type { Alarms } from './alarms.ts';
import type { Settings } from './settings.ts';

export interface OtaFunctionProps {
  /** Folder under lambdas/, which holds handler.ts. */
  readonly name: string;
  readonly settings: Settings;
  readonly alarms: Alarms;
  readonly timeout: Duration;
  /** @default 256 */
  readonly memorySize?: number;
  readonly environment?: Record<string, string>;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** CommonJS dependencies inside an ES module bundle still call `require` for Node's own modules. */
const REQUIRE_BANNER = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;

/** One error may be a database that took long to resume, and is tried again; a second within this time is not that. */
const ERROR_PERIOD = Duration.minutes(30);

/**
 * One of our functions: its own role with its own log group and an alarm on its errors, SDK bundled (the runtime's copy may be older than
 * SendDirectMessage), built for Node 20 so that the very same bytes run on a laptop.
 */
export class OtaFunction extends NodejsFunction {
  constructor(scope: Construct, id: string, props: OtaFunctionProps) {
    const { name, settings, alarms, timeout, memorySize = 256, environment = {} } = props;
    const logGroup = new LogGroup(scope, `${id}Logs`, {
      retention: settings.logRetentionDays as RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(scope, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    super(scope, id, {
      entry: `${root}lambdas/${name}/handler.ts`,
      projectRoot: root,
      depsLockFilePath: `${root}package-lock.json`,
      handler: 'handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      tracing: Tracing.ACTIVE,
      awsSdkConnectionReuse: false,
      timeout,
      memorySize,
      environment: { NODE_OPTIONS: '--enable-source-maps', ...environment },
      role,
      logGroup,
      bundling: {
        format: OutputFormat.ESM,
        target: 'node20',
        minify: true,
        sourceMap: true,
        sourcesContent: false,
        bundleAwsSDK: true,
        mainFields: ['module', 'main'],
        banner: REQUIRE_BANNER,
        loader: { '.sql': 'text' },
        tsconfig: `${root}tsconfig.json`,
        esbuildArgs: { '--alias:zod': `${root}lambdas/shared/zod-without-locales.js` },
      },
    });
    acknowledgeWildcard(role, '*', 'X-Ray takes trace segments for no resource in particular.');
    alarms.add(this, 'ErrorsAlarm', {
      metric: this.metricErrors({ period: ERROR_PERIOD }),
      description: `The function ${name} failed more than once in ${ERROR_PERIOD.toMinutes()} minutes.`,
      section: 'function-errors',
      threshold: 2,
    });
  }
}
