import { randomBytes } from 'node:crypto';
import { ACCOUNT, type Assembly, type Resource, readAssembly } from './assembly.ts';
import { startAwsServer } from './aws-server.ts';
import type { AwsService } from './aws-service.ts';
import { type Broker, startBroker } from './broker.ts';
import { CertificateAuthority, type CertificateFiles } from './certificates.ts';
import { dataApiService } from './data-api.ts';
import { EventBus, objectCreatedEvent } from './event-bus.ts';
import { LocalFunction } from './functions.ts';
import { type Endpoints, Home } from './home.ts';
import { startHttpApi } from './http-api.ts';
import { Identities } from './identities.ts';
import { iotDataService } from './iot-data.ts';
import { runCustomResource } from './migration.ts';
import { compilePolicy } from './policy.ts';
import { LocalQueue, restoreQueues, saveQueues } from './queues.ts';
import { s3Service } from './s3.ts';
import { S3Store } from './s3-store.ts';
import { Secrets, secretsManagerService } from './secrets.ts';
import { openPglite, openPostgres, type SqlEngine } from './sql-engine.ts';
import { sqsService } from './sqs.ts';
import { compileTopicRule } from './topic-rules.ts';

export interface RuntimeOptions {
  /** The synthesized cloud assembly. */
  readonly assembly: string;
  /** Folder for everything that survives a restart. */
  readonly home: string;
  /** A PostgreSQL server; PGlite in the home folder without it. */
  readonly databaseUrl?: string | undefined;
  /** How often the schedule fires; undefined leaves it to `tick()`. */
  readonly tickSeconds?: number | undefined;
  readonly host?: string;
  /** 0 takes a free port. */
  readonly ports?: { readonly mqtt: number; readonly aws: number; readonly api: number };
  readonly region?: string;
  readonly log?: (line: string) => void;
}

export interface LocalRuntime {
  readonly endpoints: Endpoints;
  /** Fires the schedule once; resolves when its function has finished. */
  tick(): Promise<void>;
  /** Resolves when nothing waits in a queue that could be handled now and no function runs. */
  idle(): Promise<void>;
  /** The certificate of a device, made unless it has one. */
  addDevice(deviceId: string): Promise<CertificateFiles>;
  close(): Promise<void>;
}

export const DEFAULT_PORTS = { mqtt: 8883, aws: 8480, api: 8481 };
const IDLE_POLL_MS = 20;

/** Boots the whole system from its templates, on this machine. @throws Error that says what to do about it */
export async function startRuntime(options: RuntimeOptions): Promise<LocalRuntime> {
  const { host = '127.0.0.1', ports = DEFAULT_PORTS, region = 'eu-west-1', log = () => {} } = options;
  const home = Home.open(options.home);
  const closers: (() => Promise<void> | void)[] = [() => home.close()];
  try {
    return await boot();
  } catch (error) {
    await closeAll();
    throw error;
  }

  async function closeAll(): Promise<void> {
    for (const close of closers.splice(0).reverse()) await close();
  }

  async function boot(): Promise<LocalRuntime> {
    const arnPrefix = `arn:aws:iot:${region}:${ACCOUNT}:`;
    const identities = new Identities();
    const services: Record<string, AwsService> = {};
    const aws = await onPort('AWS endpoints', ports.aws, (port) =>
      startAwsServer({
        host,
        port,
        identities,
        region,
        services,
        clock: Date.now,
        onError: (error) => log(String(error)),
      }),
    );
    closers.push(() => aws.close());
    const api = await onPort('HTTP API', ports.api, (port) => startHttpApi(host, port, log));
    closers.push(() => api.close());

    const secrets = new Secrets(home.path('secrets.json'), { region, accountId: ACCOUNT });
    const assembly = readAssembly(options.assembly, {
      region,
      apiEndpoint: `http://${host}:${api.port}`,
      queueUrl: (name) => `${aws.url}/${ACCOUNT}/${name}`,
      secretArn: (logicalId, generate) => secrets.getOrCreate(logicalId, () => newSecret(generate)).arn,
    });

    const engine = await openDatabase(options.databaseUrl, home);
    closers.push(() => engine.close());
    const store = await S3Store.open(home.path('s3'), bucketsOf(assembly));
    const queues = queuesOf(assembly);
    const functions = functionsOf(assembly, { home, region, awsUrl: aws.url, identities });
    const call = (arn: string, event: unknown) => need(functions, arn, 'function').invoke(event);

    Object.assign(services, {
      'rds-data': dataApiService({ engine, secrets, clusterArns: clusterArns(assembly, region) }),
      s3: s3Service(store, region),
      secretsmanager: secretsManagerService(secrets),
      sqs: sqsService((url) => [...queues.values()].find(({ settings }) => url.endsWith(`/${settings.name}`))),
    });
    for (const { logicalId, properties } of assembly.ofType('Custom::PakuOtaMigration')) {
      await runCustomResource(logicalId, properties, (event) => call(String(properties.ServiceToken), event));
    }

    const bus = new EventBus(assembly.ofType('AWS::Events::Rule'), region, (arn, event) =>
      need(queues, arn, 'queue').send(event),
    );
    store.onObjectCreated((event) => bus.put(objectCreatedEvent(event)));
    api.routes = routesOf(assembly, call);

    const authority = await CertificateAuthority.open(home.path('certificates'));
    const broker = await startDeviceBroker(authority, arnPrefix);
    services.iotdata = iotDataService(broker, arnPrefix);
    services.iotdevicegateway = services.iotdata;

    attachConsumers(assembly, queues, call);
    restoreQueues(home.path('queues.json'), [...queues.values()]);
    const tick = scheduleOf(assembly, call);
    const timer =
      options.tickSeconds === undefined
        ? undefined
        : setInterval(() => void tick().catch(report), options.tickSeconds * 1000);

    const endpoints = announce();
    home.announce(endpoints);
    closers.push(async () => {
      clearInterval(timer);
      await broker.close();
      for (const queue of queues.values()) queue.close();
      await Promise.all([...functions.values()].map((fn) => fn.close()));
      saveQueues(home.path('queues.json'), [...queues.values()]);
    });
    return { endpoints, tick, idle, addDevice: (deviceId) => authority.addDevice(deviceId), close: closeAll };

    function report(error: unknown): void {
      log(error instanceof Error ? error.message : String(error));
    }

    async function idle(): Promise<void> {
      while ([...queues.values()].some((queue) => !queue.isIdle) || [...functions.values()].some((fn) => !fn.isIdle)) {
        await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
      }
    }

    async function startDeviceBroker(certificates: CertificateAuthority, arns: string): Promise<Broker> {
      const documents = assembly.ofType('AWS::IoT::Policy').map(({ properties }) => properties.PolicyDocument);
      const policy = compilePolicy('the device policy', documents);
      const rules = assembly.ofType('AWS::IoT::TopicRule').map((rule) => ruleOf(rule, queues));
      return onPort('MQTT', ports.mqtt, (port) =>
        startBroker({
          host,
          port,
          authority: certificates,
          policy,
          arnPrefix: arns,
          log,
          onMessage: (message) => {
            for (const { rule, queue } of rules) if (rule.matches(message.topic)) queue.send(rule.apply(message));
          },
        }),
      );
    }

    function announce(): Endpoints {
      const keys = operatorKeys(secrets);
      identities.issueUser(
        'operator',
        `arn:aws:iam::${ACCOUNT}:user/operator`,
        compilePolicy('operator', [OPERATOR_POLICY]),
        keys,
      );
      const cluster = assembly.ofType('AWS::RDS::DBCluster')[0];
      return {
        region,
        mqtt: { host, port: broker.port, caFile: authority.caFile },
        s3: { endpoint: aws.url, bucket: assembly.output('PakuOta', 'FirmwareBucket'), ...keys },
        api: { url: `http://${host}:${api.port}` },
        dataApi: {
          endpoint: aws.url,
          resourceArn: clusterArns(assembly, region)[0] ?? '',
          secretArn: appSecretArn(assembly, secrets),
          database: String(cluster?.properties.DatabaseName),
          ...keys,
        },
      };
    }
  }
}

const OPERATOR_POLICY = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };

const newPassword = () => randomBytes(24).toString('base64url');

async function onPort<T>(what: string, port: number, start: (port: number) => Promise<T>): Promise<T> {
  try {
    return await start(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new Error(
      `Port ${port} (${what}) is in use by another program. Stop that one, or choose other ports: npm start -- --ports 9883,9480,9481`,
    );
  }
}

function need<T>(map: ReadonlyMap<string, T>, arn: string, what: string): T {
  const found = map.get(arn);
  if (found === undefined) throw new Error(`The template names a ${what} that it does not contain: ${arn}`);
  return found;
}

async function openDatabase(url: string | undefined, home: Home): Promise<SqlEngine> {
  return url === undefined ? openPglite(home.path('postgres')) : openPostgres(url);
}

/** A secret with a template is JSON with a password in it. */
function newSecret({ SecretStringTemplate }: { readonly SecretStringTemplate?: string }): string {
  if (SecretStringTemplate === undefined) return newPassword();
  return JSON.stringify({ ...JSON.parse(SecretStringTemplate), password: newPassword() });
}

function operatorKeys(secrets: Secrets): { accessKeyId: string; secretAccessKey: string } {
  const made = () => ({
    accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: newPassword(),
  });
  return JSON.parse(secrets.getOrCreate('LocalOperatorKeys', () => JSON.stringify(made())).value);
}

function appSecretArn(assembly: Assembly, secrets: Secrets): string {
  const app = assembly.ofType('AWS::SecretsManager::Secret').find(({ logicalId }) => logicalId.includes('AppSecret'));
  return secrets.getOrCreate(app?.logicalId ?? '', newPassword).arn;
}

const clusterArns = (assembly: Assembly, region: string): string[] =>
  assembly
    .ofType('AWS::RDS::DBCluster')
    .map(({ logicalId }) => `arn:aws:rds:${region}:${ACCOUNT}:cluster:${logicalId.toLowerCase()}`);

function bucketsOf(assembly: Assembly): Record<string, { versioned: boolean }> {
  const buckets = assembly.ofType('AWS::S3::Bucket').map(({ logicalId, properties }) => {
    const { Status } = (properties.VersioningConfiguration ?? {}) as { Status?: string };
    return [logicalId.toLowerCase(), { versioned: Status === 'Enabled' }] as const;
  });
  return Object.fromEntries(buckets);
}

function queuesOf(assembly: Assembly): Map<string, LocalQueue> {
  const queues = new Map<string, LocalQueue>();
  for (const { logicalId, properties } of assembly.ofType('AWS::SQS::Queue')) {
    const redrive = properties.RedrivePolicy as { deadLetterTargetArn: string; maxReceiveCount: number } | undefined;
    const arn = `arn:aws:sqs:${process.env.AWS_REGION ?? 'eu-west-1'}:${ACCOUNT}:${logicalId}`;
    const settings = {
      name: logicalId,
      arn,
      visibilityTimeoutSeconds: Number(properties.VisibilityTimeout ?? 30),
      redrive: redrive && { deadLetterArn: redrive.deadLetterTargetArn, maxReceiveCount: redrive.maxReceiveCount },
    };
    queues.set(arn, new LocalQueue(settings, (deadLetterArn) => queues.get(deadLetterArn)));
  }
  return queues;
}

interface FunctionSurroundings {
  readonly home: Home;
  readonly region: string;
  readonly awsUrl: string;
  readonly identities: Identities;
}

function functionsOf(assembly: Assembly, surroundings: FunctionSurroundings): Map<string, LocalFunction> {
  const { home, region, awsUrl, identities } = surroundings;
  const functions = new Map<string, LocalFunction>();
  for (const fn of assembly.ofType('AWS::Lambda::Function')) {
    const { logicalId, properties } = fn;
    const roleArn = String(properties.Role);
    const credentials = identities.issueRole(
      logicalId,
      roleArn,
      compilePolicy(logicalId, documentsOf(assembly, roleArn)),
    );
    const { Variables } = (properties.Environment ?? {}) as { Variables?: Record<string, string> };
    const { NODE_OPTIONS: _, ...variables } = Variables ?? {};
    const arn = `arn:aws:lambda:${region}:${ACCOUNT}:function:${logicalId}`;
    const local = new LocalFunction({
      name: logicalId,
      arn,
      codeFolder: assembly.codeFolder(fn),
      timeoutSeconds: Number(properties.Timeout),
      logFile: home.path('logs', `${logicalId.replace(/[0-9A-F]{8}$/, '')}.log`),
      environment: {
        ...variables,
        AWS_REGION: region,
        AWS_LAMBDA_FUNCTION_NAME: logicalId,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(properties.MemorySize),
        AWS_ENDPOINT_URL: awsUrl,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_SESSION_TOKEN: credentials.sessionToken ?? '',
      },
    });
    functions.set(arn, local);
  }
  return functions;
}

/** The policies attached to a role. */
function documentsOf(assembly: Assembly, roleArn: string): unknown[] {
  const role = roleArn.split('/').at(-1);
  return assembly
    .ofType('AWS::IAM::Policy')
    .filter(({ properties }) => (properties.Roles as string[]).includes(role ?? ''))
    .map(({ properties }) => properties.PolicyDocument);
}

function ruleOf({ logicalId, properties }: Resource, queues: ReadonlyMap<string, LocalQueue>) {
  const { Sql, AwsIotSqlVersion, Actions } = properties.TopicRulePayload as {
    Sql: string;
    AwsIotSqlVersion?: string;
    Actions: { Sqs?: { QueueUrl: string } }[];
  };
  const url = Actions.length === 1 ? Actions[0]?.Sqs?.QueueUrl : undefined;
  const queue = [...queues.values()].find(({ settings }) => url?.endsWith(`/${settings.name}`));
  if (queue === undefined) throw new Error(`${logicalId}: expected one action, to a queue of the template`);
  return { rule: compileTopicRule(Sql, AwsIotSqlVersion), queue };
}

function routesOf(assembly: Assembly, call: (arn: string, event: unknown) => Promise<unknown>) {
  const integrations = new Map(
    assembly.ofType('AWS::ApiGatewayV2::Integration').map((one) => [one.logicalId, one.properties]),
  );
  return assembly.ofType('AWS::ApiGatewayV2::Route').map(({ logicalId, properties }) => {
    const { RouteKey, Target, AuthorizationType } = properties as Record<string, string>;
    const integration = integrations.get(String(Target).replace('integrations/', ''));
    if (integration?.PayloadFormatVersion !== '2.0' || AuthorizationType !== 'NONE') {
      throw new Error(`${logicalId}: the local runtime knows public routes with payload format 2.0 only`);
    }
    return { routeKey: String(RouteKey), invoke: (event: object) => call(String(integration.IntegrationUri), event) };
  });
}

function attachConsumers(
  assembly: Assembly,
  queues: ReadonlyMap<string, LocalQueue>,
  call: (arn: string, event: unknown) => Promise<unknown>,
): void {
  const functions = new Map(assembly.ofType('AWS::Lambda::Function').map(({ logicalId }) => [logicalId, logicalId]));
  for (const { properties } of assembly.ofType('AWS::Lambda::EventSourceMapping')) {
    const queue = need(queues, String(properties.EventSourceArn), 'queue');
    const name = need(functions, String(properties.FunctionName), 'function');
    const arn = queue.settings.arn.replace(':sqs:', ':lambda:').replace(/[^:]+$/, `function:${name}`);
    queue.attach({
      batchSize: Number(properties.BatchSize),
      windowSeconds: Number(properties.MaximumBatchingWindowInSeconds ?? 0),
      concurrency: 2,
      async consume(messages) {
        const Records = messages.map(({ id, body, receives }) => ({
          messageId: id,
          receiptHandle: id,
          body,
          attributes: { ApproximateReceiveCount: String(receives) },
          messageAttributes: {},
          eventSource: 'aws:sqs',
          eventSourceARN: queue.settings.arn,
        }));
        const answer = (await call(arn, { Records })) as
          | { batchItemFailures?: { itemIdentifier: string }[] }
          | undefined;
        return (answer?.batchItemFailures ?? []).map(({ itemIdentifier }) => itemIdentifier);
      },
    });
  }
}

/** The one schedule of the template, as a function that fires it. */
function scheduleOf(assembly: Assembly, call: (arn: string, event: unknown) => Promise<unknown>): () => Promise<void> {
  const targets = assembly
    .ofType('AWS::Scheduler::Schedule')
    .map(({ properties }) => properties.Target as { Arn: string });
  return async () => {
    await Promise.all(targets.map(({ Arn }) => call(Arn, {})));
  };
}
