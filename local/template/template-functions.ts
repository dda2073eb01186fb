import type { Home } from '../home/index.ts';
import type { Clock, Identities } from '../kernel/index.ts';
import { arnOf, REGION } from '../kernel/index.ts';
import type { HttpRoute } from '../services/api-gateway/index.ts';
import { LocalFunction } from '../services/lambda/index.ts';
import type { Assembly } from './assembly.ts';
import { type Roles, required } from './roles.ts';

/** Invokes the function with that ARN. */
export type Invoke = (arn: string, event: unknown) => Promise<unknown>;

export interface FunctionDeps {
  readonly home: Home;
  readonly awsUrl: string;
  readonly apiUrl: string;
  readonly identities: Identities;
  readonly clock: Clock;
  /** Environment variables of every function; they override those of the template. */
  readonly variables: Readonly<Record<string, string>>;
}

/** The functions of the template by ARN, each with credentials of its role. */
export function functionsOf(
  assembly: Assembly,
  roles: Roles,
  { home, awsUrl, apiUrl, identities, clock, variables: overrides }: FunctionDeps,
): Map<string, LocalFunction> {
  const functions = assembly.ofType('AWS::Lambda::Function').map((resource) => {
    const { logicalId, properties } = resource;
    if (properties.Handler !== 'index.handler') {
      throw new Error(`${logicalId}: its handler is ${String(properties.Handler)}, expected index.handler`);
    }
    const roleArn = String(properties.Role);
    const credentials = identities.issueRole(logicalId, roleArn, roles.policyOf(roleArn));
    const { Variables = {} } = (properties.Environment ?? {}) as { Variables?: Record<string, string> };
    // A worker thread gets Node's options from the thread that creates it, not from the environment.
    const { NODE_OPTIONS: _, ...variables } = Variables;
    return new LocalFunction({
      name: logicalId,
      arn: arnOf('lambda', `function:${logicalId}`),
      codeFolder: assembly.codeFolder(resource),
      timeoutSeconds: Number(properties.Timeout ?? 3),
      ahead: clock.ahead,
      // The file name is the logical id without its hash.
      logFile: home.path('logs', `${logicalId.replace(/[0-9A-F]{8}$/, '')}.log`),
      environment: {
        ...variables,
        ...overrides,
        AWS_REGION: REGION,
        AWS_LAMBDA_FUNCTION_NAME: logicalId,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(properties.MemorySize ?? 128),
        AWS_ENDPOINT_URL: awsUrl,
        // Presigned URLs must have the origin of the links, see `HttpApi.serve`.
        AWS_ENDPOINT_URL_S3: apiUrl,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_SESSION_TOKEN: credentials.sessionToken ?? '',
      },
    });
  });
  return new Map(functions.map((fn) => [fn.arn, fn]));
}

/** The routes of the HTTP API. */
export function routesOf(assembly: Assembly, invoke: Invoke): HttpRoute[] {
  const integrations = new Map(
    assembly.ofType('AWS::ApiGatewayV2::Integration').map(({ logicalId, properties }) => [logicalId, properties]),
  );
  return assembly.ofType('AWS::ApiGatewayV2::Route').map(({ logicalId, properties }) => {
    const { RouteKey, Target, AuthorizationType, ApiId } = properties as Record<string, string>;
    const integration = required(
      integrations.get(String(Target).replace('integrations/', '')),
      `integration ${Target}`,
    );
    if (integration.PayloadFormatVersion !== '2.0' || !['NONE', 'AWS_IAM'].includes(String(AuthorizationType))) {
      throw new Error(`${logicalId}: expected payload format 2.0 and authorization by NONE or AWS_IAM`);
    }
    return {
      routeKey: String(RouteKey),
      signedArn: AuthorizationType === 'AWS_IAM' ? arnOf('execute-api', `${ApiId}/$default`) : undefined,
      invoke: (event) => invoke(String(integration.IntegrationUri), event),
    };
  });
}

/** A function that fires every schedule of the template once, and resolves when their functions have finished. */
export function schedulesOf(assembly: Assembly, roles: Roles, invoke: Invoke): () => Promise<void> {
  const targets = assembly.ofType('AWS::Scheduler::Schedule').map(({ logicalId, properties }) => {
    const { Arn, RoleArn, Input } = properties.Target as { Arn: string; RoleArn: string; Input?: string };
    roles.require(logicalId, RoleArn, ['lambda:InvokeFunction'], Arn);
    return { arn: Arn, event: JSON.parse(Input ?? '{}') as unknown };
  });
  return async () => {
    await Promise.all(targets.map(({ arn, event }) => invoke(arn, event)));
  };
}

/** A function that invokes the pre-provisioning hook, as AWS IoT does. Provisioning itself is not implemented here. */
export function provisioningHookOf(assembly: Assembly, invoke: Invoke): (request: object) => Promise<unknown> {
  const [template] = assembly.ofType('AWS::IoT::ProvisioningTemplate');
  const { TargetArn } = (template?.properties.PreProvisioningHook ?? {}) as { TargetArn?: string };
  return (request) => invoke(required(TargetArn, 'a pre-provisioning hook'), request);
}
