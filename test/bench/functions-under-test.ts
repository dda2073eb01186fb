import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAwsServer } from '../../local/aws-server.ts';
import type { AwsService } from '../../local/aws-service.ts';
import { type Clock, systemClock } from '../../local/clock.ts';
import { runCustomResource } from '../../local/custom-resources.ts';
import { dataApiService } from '../../local/data-api.ts';
import { eventsService, objectCreatedEvent } from '../../local/event-bus.ts';
import type { LocalFunction } from '../../local/functions.ts';
import { Home } from '../../local/home.ts';
import { type Credentials, Identities } from '../../local/identities.ts';
import { s3Service } from '../../local/s3.ts';
import { S3Store } from '../../local/s3-store.ts';
import { secretsManagerService } from '../../local/secrets.ts';
import { openPostgres } from '../../local/sql-engine.ts';
import { sqsService } from '../../local/sqs.ts';
import { synthesize } from '../../local/synthesize.ts';
import { readSystem } from '../../local/system.ts';
import { ASSEMBLY } from '../support/assembly.ts';

/** The deployed bundles before the same endpoints as in `npm start`, without a broker and without event sources. */
export interface FunctionsUnderTest {
  readonly region: string;
  readonly bucket: string;
  /** Of the operator, who may upload. */
  readonly keys: Credentials;
  readonly awsUrl: string;
  /** Calls of each AWS service since the start. */
  readonly calls: Readonly<Record<string, number>>;
  /** By the beginning of its logical id, such as `IngestStatus`. */
  fn(name: string): LocalFunction;
  /** Empties a queue, by its logical id without the hash. @returns the bodies of what waited there */
  takeQueued(name: string): string[];
  close(): Promise<void>;
}

/** @param services that stand in for others, such as `iotdata` */
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
  const around = {
    home,
    identities,
    clock,
    faults: {},
    variables: {},
    audit: undefined,
    awsUrl: aws.url,
    apiUrl: 'https://api.example',
  };
  const system = readSystem(ASSEMBLY, { ...around, onFailure: (error) => console.error(error.message) });
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

/** An event of an SQS queue with these bodies. */
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
