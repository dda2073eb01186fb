import { isIPv4 } from 'node:net';
import { ACCOUNT, type Assembly, readAssembly } from './assembly.ts';
import { type AwsServer, startAwsServer } from './aws-server.ts';
import type { AwsService } from './aws-service.ts';
import { type Broker, type BrokerMessage, startBroker } from './broker.ts';
import { CertificateAuthority, type CertificateFiles } from './certificates.ts';
import { type Clock, systemClock } from './clock.ts';
import { Closers } from './closers.ts';
import { runCustomResource } from './custom-resources.ts';
import { dataApiService } from './data-api.ts';
import { eventBus, objectCreatedEvent } from './event-bus.ts';
import { eventsService } from './events.ts';
import type { LocalFunction } from './functions.ts';
import { type Endpoints, Home } from './home.ts';
import { type HttpApi, startHttpApi } from './http-api.ts';
import { Identities } from './identities.ts';
import { iotDataService } from './iot-data.ts';
import { compilePolicy } from './policy.ts';
import { restoreQueues, saveQueues } from './queue-store.ts';
import { need, Roles } from './roles.ts';
import { s3Service } from './s3.ts';
import { S3Store } from './s3-store.ts';
import { Secrets, secretsManagerService } from './secrets.ts';
import { openPglite, openPostgres } from './sql-engine.ts';
import { sqsService } from './sqs.ts';
import { bucketsOf, clusterOf, newSecret, operatorKeys } from './template-data.ts';
import { functionsOf, type Invoke, routesOf, schedulesOf } from './template-functions.ts';
import { busRulesOf, consumersOf, type Queues, queueByUrl, queuesOf, topicRulesOf } from './template-queues.ts';

export interface RuntimeOptions {
  /** The synthesized cloud assembly. */
  readonly assembly: string;
  /** Folder for everything that survives a restart. */
  readonly home: string;
  /** A PostgreSQL server; PGlite in the home folder without it. */
  readonly databaseUrl?: string | undefined;
  /** How often the schedule fires; undefined leaves it to `tick()`. */
  readonly tickSeconds?: number | undefined;
  /** An IPv4 address of this machine: what listens there, and what links and presigned URLs name. */
  readonly host?: string;
  /** 0 takes a free port. */
  readonly ports?: { readonly mqtt: number; readonly aws: number; readonly api: number };
  readonly region?: string;
  /** Moves the queues; everything else lives in real time. */
  readonly clock?: Clock;
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
  const closers = new Closers();
  try {
    return await new Boot(options, closers).run();
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/** One start, in its order: addresses, since the templates name them; templates; data; and last, what brings work. */
class Boot {
  readonly #options: Required<Pick<RuntimeOptions, 'host' | 'ports' | 'region' | 'clock' | 'log'>> & RuntimeOptions;
  readonly #closers: Closers;
  readonly #home: Home;
  readonly #identities = new Identities();
  readonly #services: Record<string, AwsService> = {};

  constructor(options: RuntimeOptions, closers: Closers) {
    const defaults = {
      host: '127.0.0.1',
      ports: DEFAULT_PORTS,
      region: 'eu-west-1',
      clock: systemClock,
      log: () => {},
    };
    this.#options = { ...defaults, ...options };
    checkHost(this.#options.host);
    this.#closers = closers;
    this.#home = Home.open(options.home);
    closers.add(() => this.#home.close());
  }

  async run(): Promise<LocalRuntime> {
    const { region, clock, host } = this.#options;
    const aws = await this.#startAws();
    const api = await this.#startApi();
    const apiUrl = `http://${host}:${api.port}`;
    const secrets = new Secrets(this.#home.path('secrets.json'), { region, accountId: ACCOUNT });
    const assembly = readAssembly(this.#options.assembly, {
      region,
      apiEndpoint: apiUrl,
      queueUrl: (name) => `${aws.url}/${ACCOUNT}/${name}`,
      secretArn: (logicalId, generate) => secrets.getOrCreate(logicalId, () => newSecret(generate)).arn,
    });

    const roles = new Roles(assembly);
    const cluster = clusterOf(assembly, region, secrets);
    const queues = queuesOf(assembly, region, clock);
    const around = { home: this.#home, region, awsUrl: aws.url, identities: this.#identities, roles };
    const functions = functionsOf(assembly, around);
    const invoke: Invoke = (arn, event) => need(functions.get(arn), arn).invoke(event);
    const startConsumers = consumersOf(assembly, queues, roles, (arn, event) => this.#reported(invoke(arn, event)));
    const tick = schedulesOf(assembly, roles, invoke);
    const toRules = topicRulesOf(assembly, queues, roles);
    const routes = routesOf(assembly, region, invoke);
    const putEvent = eventBus(busRulesOf(assembly, queues), { region, account: ACCOUNT }, clock.now);
    this.#services.events = eventsService(putEvent, `arn:aws:events:${region}:${ACCOUNT}:event-bus/default`);
    const keys = operatorKeys(secrets, this.#identities);

    const buckets = bucketsOf(assembly);
    const store = await this.#openStores(buckets.all, secrets, queues, cluster.resourceArn);
    this.#closers.add(() => closeFunctions(functions));
    await this.#makeCustomResources(assembly, invoke);

    store.onObjectCreated((event) => {
      if (buckets.announcing.includes(event.bucket)) putEvent(objectCreatedEvent(event));
    });
    startConsumers();
    this.#restoreQueues(queues, functions);
    api.serve(routes);
    const authority = await CertificateAuthority.open(this.#home.path('certificates'));
    const broker = await this.#startBroker(assembly, authority, toRules);
    this.#startTimer(tick);

    const endpoints: Endpoints = {
      region,
      mqtt: { host, port: broker.port, caFile: authority.caFile },
      s3: { endpoint: aws.url, bucket: buckets.announcing[0] ?? '', ...keys },
      api: { url: apiUrl },
      dataApi: { endpoint: aws.url, ...cluster, ...keys },
    };
    this.#home.announce(endpoints);
    return {
      endpoints,
      tick,
      idle: () => idle(queues, functions),
      addDevice: (deviceId) => authority.addDevice(deviceId),
      close: () => this.#closers.close(),
    };
  }

  async #startAws(): Promise<AwsServer> {
    const { host, region, ports } = this.#options;
    const shared = { host, region, identities: this.#identities, services: this.#services, clock: Date.now };
    const aws = await onPort('AWS endpoints', ports.aws, (port) =>
      startAwsServer({ ...shared, port, onError: (error) => this.#report(error) }),
    );
    this.#closers.add(() => aws.close());
    return aws;
  }

  async #startApi(): Promise<HttpApi> {
    const { host, region, ports, log } = this.#options;
    const shared = { host, region, identities: this.#identities, log, clock: Date.now };
    const api = await onPort('HTTP API', ports.api, (port) => startHttpApi({ ...shared, port }));
    this.#closers.add(() => api.close());
    return api;
  }

  async #openStores(
    buckets: readonly string[],
    secrets: Secrets,
    queues: Queues,
    clusterArn: string,
  ): Promise<S3Store> {
    const { databaseUrl, region } = this.#options;
    const pglite = () => openPglite(this.#home.path('postgres'));
    const engine = databaseUrl === undefined ? await pglite() : openPostgres(databaseUrl);
    this.#closers.add(() => engine.close());
    const store = new S3Store(this.#home.path('s3'), buckets);
    Object.assign(this.#services, {
      'rds-data': dataApiService({ engine, secrets, clusterArns: [clusterArn] }),
      s3: s3Service(store, region),
      secretsmanager: secretsManagerService(secrets),
      sqs: sqsService((url) => queueByUrl(queues, url)),
    });
    return store;
  }

  async #makeCustomResources(assembly: Assembly, invoke: Invoke): Promise<void> {
    for (const { logicalId, type, stack, properties } of assembly.customResources) {
      const resource = { logicalId, type, stackId: stack, properties };
      await runCustomResource(resource, (event) => invoke(String(properties.ServiceToken), event));
    }
  }

  async #startBroker(
    assembly: Assembly,
    authority: CertificateAuthority,
    onMessage: (message: BrokerMessage) => void,
  ): Promise<Broker> {
    const { host, region, ports, log } = this.#options;
    const arnPrefix = `arn:aws:iot:${region}:${ACCOUNT}:`;
    const documents = assembly.ofType('AWS::IoT::Policy').map(({ properties }) => properties.PolicyDocument);
    const policy = compilePolicy('the device policy', documents);
    const shared = { host, authority, policy, arnPrefix, onMessage, log };
    const broker = await onPort('MQTT', ports.mqtt, (port) => startBroker({ ...shared, port }));
    this.#closers.add(() => broker.close());
    this.#services.iotdata = iotDataService(broker, arnPrefix);
    return broker;
  }

  /** From here on, what the queues hold at the end is written down, once the functions have finished what they began. */
  #restoreQueues(queues: Queues, functions: Functions): void {
    const file = this.#home.path('queues.json');
    const all = [...queues.values()];
    restoreQueues(file, all);
    this.#closers.add(async () => {
      for (const queue of all) queue.close();
      await closeFunctions(functions);
      saveQueues(file, all);
    });
  }

  /** A tick that takes longer than the interval is not overtaken by the next. */
  #startTimer(tick: () => Promise<void>): void {
    const { tickSeconds } = this.#options;
    if (tickSeconds === undefined) return;
    let running = false;
    const timer = setInterval(async () => {
      if (running) return;
      running = true;
      await this.#reported(tick()).catch(() => {});
      running = false;
    }, tickSeconds * 1000);
    this.#closers.add(() => clearInterval(timer));
  }

  async #reported<T>(result: Promise<T>): Promise<T> {
    try {
      return await result;
    } catch (error) {
      this.#report(error);
      throw error;
    }
  }

  #report(error: unknown): void {
    this.#options.log(error instanceof Error ? error.message : String(error));
  }
}

type Functions = ReadonlyMap<string, LocalFunction>;

async function closeFunctions(functions: Functions): Promise<void> {
  await Promise.all([...functions.values()].map((fn) => fn.close()));
}

async function idle(queues: Queues, functions: Functions): Promise<void> {
  const parts = [...queues.values(), ...functions.values()];
  while (parts.some(({ isIdle }) => !isIdle)) await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
}

/** SDK clients put the bucket's name before a host name, where nobody would resolve it; and 0.0.0.0 is nobody's address. */
function checkHost(host: string): void {
  if (isIPv4(host) && host !== '0.0.0.0') return;
  const example = 'npm start -- --host 192.168.1.20';
  throw new Error(`host is "${host}", expected the IPv4 address by which devices reach this machine: ${example}`);
}

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
