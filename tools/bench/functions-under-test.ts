import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Home } from '../../local/home/index.ts';
import type { AwsService } from '../../local/kernel/index.ts';
import { type Clock, type Credentials, Identities, startAwsServer, systemClock } from '../../local/kernel/index.ts';
import { readSystem } from '../../local/runtime/index.ts';
import { eventsService } from '../../local/services/events/index.ts';
import type { LocalFunction } from '../../local/services/lambda/index.ts';
import { dataApiService, openPostgres } from '../../local/services/rds-data/index.ts';
import { objectCreatedEvent, S3Store, s3Service } from '../../local/services/s3/index.ts';
import { secretsManagerService } from '../../local/services/secrets/index.ts';
import { sqsService } from '../../local/services/sqs/index.ts';
import { synthesize } from '../../local/start/index.ts';
import { runCustomResource } from '../../local/template/index.ts';
import { ASSEMBLY } from '../../test/support/assembly.ts';

/** The deployed bundles with the endpoints of `npm start`, without a broker and event sources. */
export interface FunctionsUnderTest {
  readonly region: string;
  readonly bucket: string;
  /** Credentials of the operator, who may upload. */
  readonly keys: Credentials;
  readonly awsUrl: string;
  /** Number of calls since the start, by service. */
  readonly calls: Readonly<Record<string, number>>;
  /** The function with that logical id without the hash, such as `IngestStatus`. */
  fn(name: string): LocalFunction;
  /** Empties the queue with that logical id without the hash. @returns the bodies of its messages */
  takeQueued(name: string): string[];
  close(): Promise<void>;
}

/** @param services replacements of services, such as `iotdata` */
export async function openFunctions(
  databaseUrl: string,
  services: Readonly<Record<string, AwsService>> = {},
  clock: Clock = systemClock,
): Promise<FunctionsUnderTest> {
  await synthesize(ASSEMBLY);
  const folder = mkdtempSync(join(tmpdir(), 'paku-ota-bench-'));
  const home = new Home(folder);
  const identities = new Identities();
  const provided: Record<string, AwsService> = {};
  const signing = { host: '127.0.0.1', region: 'eu-west-1', identities, clock: clock.now };
  const aws = await startAwsServer({ ...signing, port: 0, services: provided });
  const deps = {
    home,
    identities,
    clock,
    interceptors: {},
    variables: {},
    audit: undefined,
    awsUrl: aws.url,
    apiUrl: 'https://api.example',
  };
  const system = readSystem(ASSEMBLY, {
    ...deps,
    onFailure: (error) => console.error(error.message),
    onNotice: () => {},
  });
  const engine = openPostgres(databaseUrl);
  const store = new S3Store(home.path('s3'), [system.bucket], clock.now);
  store.onObjectCreated((created) => system.putEvent(objectCreatedEvent(created)));
  const calls: Record<string, number> = {};
  const all: Record<string, AwsService> = {
    events: eventsService(system.putEvent),
    'rds-data': dataApiService({ engine, secrets: system.secrets, clusterArns: [system.cluster.resourceArn] }),
    s3: s3Service(store),
    secretsmanager: secretsManagerService(system.secrets),
    sqs: sqsService(system.queues),
    ...services,
  };
  for (const [name, service] of Object.entries(all)) {
    calls[name] = 0;
    provided[name] = {
      handle(request) {
        calls[name] = (calls[name] ?? 0) + 1;
        return service.handle(request);
      },
    };
  }
  for (const resource of system.customResources) await runCustomResource(resource, system.invoke);
  const functions = [...system.functions.values()];
  return {
    region: signing.region,
    bucket: system.bucket,
    keys: system.keys,
    awsUrl: aws.url,
    calls,
    fn(name) {
      const found = functions.find((fn) => fn.name.startsWith(name));
      if (found === undefined) throw new Error(`${name} is none of ${functions.map((fn) => fn.name).join(', ')}`);
      return found;
    },
    takeQueued(name) {
      const found = [...system.queues.values()].find(
        ({ settings }) => settings.name.replace(/[0-9A-F]{8}$/, '') === name,
      );
      if (found === undefined) throw new Error(`there is no queue ${name}`);
      return found.takeAll().map(({ body }) => body);
    },
    async close() {
      await Promise.all(functions.map((fn) => fn.close()));
      await aws.close();
      await engine.close();
      home.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A Lambda event of SQS messages with these bodies. */
export const sqsEvent = (bodies: readonly string[]): object => ({
  Records: bodies.map((body, n) => ({
    messageId: String(n),
    receiptHandle: String(n),
    body,
    attributes: { ApproximateReceiveCount: '1', SentTimestamp: String(Date.now()) },
    messageAttributes: {},
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:eu-west-1:000000000000:queue',
  })),
});
