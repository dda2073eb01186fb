import { isIPv4 } from 'node:net';
import { type Endpoints, Home } from '../home/index.ts';
import type { Audit, AwsService, HttpServer } from '../kernel/index.ts';
import {
  CertificateAuthority,
  type CertificateFiles,
  type Clock,
  Closers,
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
  /** The time of everything but the database, TLS certificates and time-outs. @default - the machine's */
  readonly clock?: Clock;
  /** Environment variables of every function, over those of the templates. */
  readonly variables?: Readonly<Record<string, string>>;
  /** For tests. @default - none */
  readonly interceptors?: Interceptors;
  /** Told which grants of the templates are of use. For tests. @default - nobody asks */
  readonly audit?: Audit | undefined;
  readonly log?: (line: string) => void;
}

export interface LocalRuntime {
  readonly endpoints: Endpoints;
  /** Fires the schedule once; resolves when its function has finished. */
  tick(): Promise<void>;
  /** Resolves when nothing waits in a queue that could be handled now and no function runs. */
  idle(): Promise<void>;
  /** What the function answers that AWS IoT asks before it provisions a device. */
  askProvisioningHook(request: object): Promise<unknown>;
  /** The certificate of a device, made unless it has one. */
  addDevice(deviceId: string): Promise<CertificateFiles>;
  close(): Promise<void>;
}

export const DEFAULT_PORTS = { mqtt: 8883, aws: 8480, api: 8481 };
const IDLE_POLL_MS = 20;

/** Boots the whole system from its templates, on this machine. @throws Error that says what to do about it */
export async function startRuntime(options: RuntimeOptions): Promise<LocalRuntime> {
  const settled = {
    host: '127.0.0.1',
    ports: DEFAULT_PORTS,
    clock: systemClock,
    interceptors: {},
    variables: {},
    log: () => {},
    ...options,
  };
  checkHost(settled.host);
  const closers = new Closers();
  try {
    return await boot(settled, closers);
  } catch (error) {
    await closers.close();
    throw error;
  }
}

type Settled = RuntimeOptions &
  Required<Pick<RuntimeOptions, 'host' | 'ports' | 'clock' | 'variables' | 'interceptors' | 'log'>>;

/** One start, in its order: addresses, since the templates name them; templates; data; and last, what brings work. */
async function boot(options: Settled, closers: Closers): Promise<LocalRuntime> {
  const { host, ports, clock, variables, interceptors, audit, log } = options;
  const report = (error: Error) => log(error.message);
  const home = new Home(options.home);
  closers.add(() => home.close());
  const listen = async <T extends HttpServer>(what: string, port: number, start: (port: number) => Promise<T>) => {
    const server = await start(port).catch((error) => refusePort(what, port, error));
    closers.add(() => server.close());
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

  const around = {
    home,
    identities,
    clock,
    variables,
    interceptors,
    audit,
    awsUrl: aws.url,
    apiUrl,
    onFailure: report,
  };
  const system = readSystem(options.assembly, around);
  const provide = (more: Record<string, AwsService>) => Object.assign(services, intercept(more, system, interceptors));
  provide(await openData(system, home, options, closers));
  closers.add(() => closeFunctions(system));
  await makeCustomResources(system, options);

  const journal = new QueueJournal(home.path('queues.jsonl'), report);
  for (const queue of system.queues.values()) queue.keepIn(journal);
  system.startConsumers();
  closers.add(() => closeQueues(system));
  api.serve(system.routes);
  const authority = await CertificateAuthority.open(home.path('certificates'));
  const { devicePolicy: policy, onMessage, tick } = system;
  const broker = await listen('MQTT', ports.mqtt, (port) =>
    startBroker({ host, port, authority, policy, onMessage, log, clock: clock.now }),
  );
  provide({ iotdata: iotDataService(broker), iot: iotRegistryService(authority, system.thingType) });
  if (options.tickSeconds !== undefined) closers.add(repeat(tick, options.tickSeconds, report));

  const { bucket, cluster, keys } = system;
  const endpoints: Endpoints = {
    region: REGION,
    mqtt: { host, port: broker.port, caFile: authority.caFile },
    s3: { endpoint: aws.url, bucket, ...keys },
    api: { url: apiUrl, ...keys },
    dataApi: { endpoint: aws.url, ...cluster, ...keys },
  };
  home.announce(endpoints);
  return {
    endpoints,
    tick,
    idle: () => idle([...system.queues.values(), ...system.functions.values()]),
    askProvisioningHook: system.askProvisioningHook,
    addDevice: (deviceId) => authority.addDevice(deviceId),
    close: () => closers.close(),
  };
}

function refusePort(what: string, port: number, error: NodeJS.ErrnoException): never {
  if (error.code !== 'EADDRINUSE') throw error;
  throw new Error(
    `Port ${port} (${what}) is in use by another program. Stop that one, or choose other ports: npm start -- --ports 9883,9480,9481,9482`,
  );
}

/** @throws Error that says what to do about a database of another schema */
async function makeCustomResources({ customResources, invoke }: System, { home, databaseUrl }: Settled): Promise<void> {
  for (const resource of customResources) {
    await runCustomResource(resource, invoke).catch((error: Error) => {
      throw explainOtherSchema(error, home, databaseUrl);
    });
  }
}

/** @returns the services that keep data, by name */
async function openData(
  { secrets, bucket, cluster, queues, putEvent }: System,
  home: Home,
  { databaseUrl, clock }: Settled,
  closers: Closers,
): Promise<Record<string, AwsService>> {
  const pglite = () => openPglite(home.path('postgres'));
  const engine = databaseUrl === undefined ? await pglite() : openPostgres(databaseUrl);
  closers.add(() => engine.close());
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

/** Nothing new is begun; what the functions have begun they finish, and what is left waits in the journal. */
async function closeQueues(system: System): Promise<void> {
  for (const queue of system.queues.values()) queue.close();
  await closeFunctions(system);
}

/** A tick that takes longer than the interval is not overtaken by the next. @returns what ends it */
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

/** SDK clients put the bucket's name before a host name, where nobody would resolve it; and 0.0.0.0 is nobody's address. */
function checkHost(host: string): void {
  if (isIPv4(host) && host !== '0.0.0.0') return;
  const example = 'npm start -- --host 192.168.1.20';
  throw new Error(`host is "${host}", expected the IPv4 address by which devices reach this machine: ${example}`);
}
