import { isIPv4 } from 'node:net';
import { type Endpoints, Home } from '../home/index.ts';
import type { Audit, AwsService, HttpServer } from '../kernel/index.ts';
import {
  CertificateAuthority,
  type CertificateFiles,
  type Clock,
  Disposables,
  Identities,
  type Interceptors,
  REGION,
  startAwsServer,
  systemClock,
} from '../kernel/index.ts';
import { startHttpApi } from '../services/api-gateway/index.ts';
import { eventsService } from '../services/events/index.ts';
import { iotDataService, iotRegistryService, startBroker } from '../services/iot/index.ts';
import { dataApiService, openPglite, openPostgres } from '../services/rds-data/index.ts';
import { objectCreatedEvent, S3Store, s3Service } from '../services/s3/index.ts';
import { secretsManagerService } from '../services/secrets/index.ts';
import { QueueJournal, sqsService } from '../services/sqs/index.ts';
import { runCustomResource } from '../template/index.ts';
import { explainOtherSchema } from './other-schema.ts';
import { readSystem, type System } from './system.ts';

export interface RuntimeOptions {
  /** The synthesized cloud assembly. */
  readonly assembly: string;
  /** Folder of everything that survives a restart. */
  readonly home: string;
  /** URL of a PostgreSQL server. @default PGlite in the home folder */
  readonly databaseUrl?: string | undefined;
  /** Interval of the schedule; if undefined, only `tick()` fires it. */
  readonly tickSeconds?: number | undefined;
  /** The IPv4 address of this machine to listen on; links and presigned URLs contain it. */
  readonly host?: string;
  /** 0 chooses a free port. */
  readonly ports?: { readonly mqtt: number; readonly aws: number; readonly api: number };
  /** The clock of everything except the database, TLS certificates and timeouts. @default the machine's clock */
  readonly clock?: Clock;
  /** Environment variables of every function; they override those of the templates. */
  readonly variables?: Readonly<Record<string, string>>;
  /** For tests. @default none */
  readonly interceptors?: Interceptors;
  /** Observes which grants of the templates are used. For tests. @default none */
  readonly audit?: Audit | undefined;
  readonly log?: (line: string) => void;
}

export interface LocalRuntime {
  readonly endpoints: Endpoints;
  /** Fires the schedule once. Resolves when its function has finished. */
  tick(): Promise<void>;
  /** Resolves when no queue has a message that can be received now and no function runs. */
  idle(): Promise<void>;
  /** Invokes the pre-provisioning hook, as AWS IoT does before it provisions a device. @returns its answer */
  askProvisioningHook(request: object): Promise<unknown>;
  /** Returns the certificate of a device, and creates it if there is none. */
  addDevice(deviceId: string): Promise<CertificateFiles>;
  close(): Promise<void>;
}

export const DEFAULT_PORTS = { mqtt: 8883, aws: 8480, api: 8481 };
const IDLE_POLL_MS = 20;

/** Boots the whole system from its templates on this machine. @throws Error that says what to do about it */
export async function startRuntime(options: RuntimeOptions): Promise<LocalRuntime> {
  const resolved = {
    host: '127.0.0.1',
    ports: DEFAULT_PORTS,
    clock: systemClock,
    interceptors: {},
    variables: {},
    log: () => {},
    ...options,
  };
  checkHost(resolved.host);
  const disposables = new Disposables();
  try {
    return await boot(resolved, disposables);
  } catch (error) {
    await disposables.close();
    throw error;
  }
}

type ResolvedOptions = RuntimeOptions &
  Required<Pick<RuntimeOptions, 'host' | 'ports' | 'clock' | 'variables' | 'interceptors' | 'log'>>;

/** Starts in this order: listeners, because the templates contain their addresses; templates; data; sources of work. */
async function boot(options: ResolvedOptions, disposables: Disposables): Promise<LocalRuntime> {
  const { host, ports, clock, variables, interceptors, audit, log } = options;
  const report = (error: Error) => log(error.message);
  const home = new Home(options.home);
  disposables.add(() => home.close());
  const listen = async <T extends HttpServer>(what: string, port: number, start: (port: number) => Promise<T>) => {
    const server = await start(port).catch((error) => portError(what, port, error));
    disposables.add(() => server.close());
    return server;
  };
  const identities = new Identities();
  const services: Record<string, AwsService> = {};
  const signing = { host, region: REGION, identities, clock: clock.now };
  const aws = await listen('AWS endpoints', ports.aws, (port) =>
    startAwsServer({ ...signing, port, services, onError: report }),
  );
  const api = await listen('HTTP API', ports.api, (port) => startHttpApi({ ...signing, port, log }));
  const apiUrl = `http://${host}:${api.port}`;

  const deps = {
    home,
    identities,
    clock,
    variables,
    interceptors,
    audit,
    awsUrl: aws.url,
    apiUrl,
    onFailure: report,
    onNotice: (text: string) => log(`mail of the alarm topic:\n${text}`),
  };
  const system = readSystem(options.assembly, deps);
  const provide = (more: Record<string, AwsService>) => Object.assign(services, intercept(more, system, interceptors));
  provide(await openData(system, home, options, disposables));
  disposables.add(() => closeFunctions(system));
  await makeCustomResources(system, options);

  const journal = new QueueJournal(home.path('queues.jsonl'), report);
  for (const queue of system.queues.values()) queue.recordIn(journal);
  system.startConsumers();
  disposables.add(() => closeQueues(system));
  api.serve(system.routes, { bucket: system.bucket, answer: aws.answer });
  const authority = await CertificateAuthority.open(home.path('certificates'));
  const { devicePolicy: policy, onMessage, tick } = system;
  const broker = await listen('MQTT', ports.mqtt, (port) =>
    startBroker({ host, port, authority, policy, onMessage, log, clock: clock.now }),
  );
  provide({ iotdata: iotDataService(broker), iot: iotRegistryService(authority, system.thingType) });
  if (options.tickSeconds !== undefined) disposables.add(repeat(tick, options.tickSeconds, report));

  const { bucket, cluster, keys, approver } = system;
  const endpoints: Endpoints = {
    region: REGION,
    mqtt: { host, port: broker.port, caFile: authority.caFile },
    s3: { endpoint: aws.url, bucket, ...keys },
    api: { url: apiUrl, ...keys },
    approver,
    dataApi: { endpoint: aws.url, ...cluster, ...keys },
  };
  home.announce(endpoints);
  return {
    endpoints,
    tick,
    idle: () => idle([...system.queues.values(), ...system.functions.values()]),
    askProvisioningHook: system.askProvisioningHook,
    addDevice: (deviceId) => authority.addDevice(deviceId),
    close: () => disposables.close(),
  };
}

function portError(what: string, port: number, error: NodeJS.ErrnoException): never {
  if (error.code !== 'EADDRINUSE') throw error;
  throw new Error(
    `Port ${port} (${what}) is in use by another program. Stop that one, or choose other ports: npm start -- --ports 9883,9480,9481,9482`,
  );
}

/** @throws Error that says what to do about a database of another schema */
async function makeCustomResources(
  { customResources, invoke }: System,
  { home, databaseUrl }: ResolvedOptions,
): Promise<void> {
  for (const resource of customResources) {
    await runCustomResource(resource, invoke).catch((error: Error) => {
      throw explainOtherSchema(error, home, databaseUrl);
    });
  }
}

/** @returns the services that store data, by name */
async function openData(
  { secrets, bucket, cluster, queues, putEvent }: System,
  home: Home,
  { databaseUrl, clock }: ResolvedOptions,
  disposables: Disposables,
): Promise<Record<string, AwsService>> {
  const pglite = () => openPglite(home.path('postgres'));
  const engine = databaseUrl === undefined ? await pglite() : openPostgres(databaseUrl);
  disposables.add(() => engine.close());
  const store = new S3Store(home.path('s3'), [bucket], clock.now);
  store.onObjectCreated((event) => putEvent(objectCreatedEvent(event)));
  return {
    events: eventsService(putEvent),
    'rds-data': dataApiService({ engine, secrets, clusterArns: [cluster.resourceArn] }),
    s3: s3Service(store),
    secretsmanager: secretsManagerService(secrets),
    sqs: sqsService(queues),
  };
}

function intercept(services: Record<string, AwsService>, { functions }: System, { wrapService }: Interceptors) {
  if (wrapService === undefined) return services;
  const kill = async (name: string) => [...functions.values()].find((fn) => fn.name === name)?.kill();
  return Object.fromEntries(
    Object.entries(services).map(([name, service]) => [name, wrapService(name, service, kill)]),
  );
}

/** Starts no more invocations and waits for those that run. Messages that are left stay in the journal. */
async function closeQueues(system: System): Promise<void> {
  for (const queue of system.queues.values()) queue.close();
  await closeFunctions(system);
}

/** Ticks at an interval, and skips a tick while the previous one runs. @returns a function that stops it */
function repeat(tick: () => Promise<void>, seconds: number, onFailure: (error: Error) => void): () => void {
  let running = false;
  const timer = setInterval(async () => {
    if (running) return;
    running = true;
    await tick().catch(onFailure);
    running = false;
  }, seconds * 1000);
  return () => clearInterval(timer);
}

async function closeFunctions({ functions }: System): Promise<void> {
  await Promise.all([...functions.values()].map((fn) => fn.close()));
}

async function idle(parts: readonly { readonly isIdle: boolean }[]): Promise<void> {
  while (parts.some(({ isIdle }) => !isIdle)) await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
}

/**
 * A host name does not work: SDK clients prepend the bucket's name to it, and nothing resolves that. Nobody can connect
 * to 0.0.0.0.
 */
function checkHost(host: string): void {
  if (isIPv4(host) && host !== '0.0.0.0') return;
  const example = 'npm start -- --host 192.168.1.20';
  throw new Error(`host is "${host}", expected the IPv4 address by which devices reach this machine: ${example}`);
}
