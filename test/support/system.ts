import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { dataApiDatabase } from '../../core/db/index.ts';
import type { VirtualDeviceOptions } from '../../fleet/device-options.ts';
import { VirtualDevice } from '../../fleet/virtual-device.ts';
import { type LocalRuntime, startRuntime } from '../../local/runtime/index.ts';
import { ASSEMBLY } from './assembly.ts';
import { type Faults, interceptorsOf } from './faults.ts';
import { GrantRecorder } from './grant-recorder.ts';
import { MovableClock } from './movable-clock.ts';
import { type OwnDatabase, ownDatabase } from './own-database.ts';
import { type TypedDatabase, typed } from './test-sql.ts';

/** The whole system on free ports in a temporary folder, with the interfaces that stories use. */
export interface TestSystem {
  readonly runtime: LocalRuntime;
  /** Log lines of the runtime. */
  readonly log: readonly string[];
  /** The home folder, PAKU_OTA_HOME. */
  readonly home: string;
  /** The database as its owner, through the Data API: stories look at rows, and change some. */
  readonly database: TypedDatabase;
  upload(key: string, image: Uint8Array, metadata?: Record<string, string>): Promise<void>;
  /** Starts a virtual device with its own certificate. It is stopped with the system, or with its environment. */
  device(options: Partial<VirtualDeviceOptions> & { readonly deviceId: string }): Promise<VirtualDevice>;
  /** The current time of the system, its functions and its devices. */
  now(): Date;
  /** Advances that time when queues and functions are idle. Timeouts and the clock of the database do not change. */
  advance(by: { minutes?: number; seconds?: number }): Promise<void>;
  /** Advances the time, runs the orchestrator, and waits until its commands are sent. */
  later(minutes: number): Promise<void>;
  /** Polls until the query has a row that meets the condition. @throws Error with the last rows after 50 s or `waitMs` */
  until<Row>(sql: string, condition?: (row: Row) => boolean, waitMs?: number): Promise<Row>;
  close(): Promise<void>;
}

/** Without idle mode, rows that a story writes by SQL take effect at the next tick. */
export const NEVER_IDLE = { IDLE_SWEEP_MINUTES: '0' };
const WAIT_MS = 50_000;
const POLL_MS = 100;
/** Batch window of the dispatch queue, which tests skip. */
const BATCH_WINDOW_SECONDS = 1;

/** What a restarted system keeps: data, time, ports and devices. */
export class TestEnvironment {
  readonly home = mkdtempSync(join(tmpdir(), 'paku-ota-'));
  readonly clock = new MovableClock();
  readonly devices: VirtualDevice[] = [];
  ports = { mqtt: 0, aws: 0, api: 0 };
  readonly #server: OwnDatabase | undefined;

  private constructor(server: OwnDatabase | undefined) {
    this.#server = server;
  }

  /**
   * Creates an environment with PGlite, or with a new database on the server of TEST_DATABASE_URL.
   * @param migrated false for an empty database on the server, which the first deployment migrates
   */
  static async make({ migrated = true } = {}): Promise<TestEnvironment> {
    return new TestEnvironment(await ownDatabase({ migrated }));
  }

  get databaseUrl(): string | undefined {
    return this.#server?.url;
  }

  async switchOff(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.stop()));
  }

  async remove(): Promise<void> {
    await this.#server?.drop();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/**
 * @param given an environment that the caller removes; without it, the system creates one and removes it when it closes
 */
export async function startTestSystem(
  assembly = ASSEMBLY,
  faults: Faults = {},
  variables: Readonly<Record<string, string>> = NEVER_IDLE,
  grants = new GrantRecorder(),
  given?: TestEnvironment,
): Promise<TestSystem> {
  const environment = given ?? (await TestEnvironment.make());
  const { home, clock, databaseUrl, ports } = environment;
  const log: string[] = [];
  const runtime = await startRuntime({
    assembly,
    home,
    databaseUrl,
    ports,
    clock,
    variables,
    interceptors: interceptorsOf(faults),
    audit: grants,
    log: (line) => log.push(line),
  });
  const { dataApi, s3: bucket, mqtt, api } = runtime.endpoints;
  environment.ports = { mqtt: mqtt.port, aws: portOf(dataApi.endpoint), api: portOf(api.url) };
  const client = { region: runtime.endpoints.region, endpoint: dataApi.endpoint, credentials: dataApi };
  const database = typed(dataApiDatabase(new RDSDataClient(client), { ...dataApi, secretArn: ownerSecretIn(home) }));
  const s3 = new S3Client(client);
  const advance = async ({ minutes = 0, seconds = 0 }) => {
    await runtime.idle();
    await clock.advance(minutes * 60 + seconds);
  };

  return {
    runtime,
    log,
    home,
    database,
    async upload(key, image, metadata = {}) {
      // A tool of the uploader may tag what it puts; the functions have no rights to tags.
      const object = { Bucket: bucket.bucket, Key: key, Body: image, Metadata: metadata, Tagging: 'origin=build' };
      await s3.send(new PutObjectCommand(object));
    },
    async device(options) {
      const { certificateFile, privateKeyFile } = await runtime.addDevice(options.deviceId);
      const read = (file: string) => readFileSync(file, 'utf8');
      const device = new VirtualDevice({
        model: 'esp32-s3',
        firmwareVersion: '1.0.0',
        mac: 'A0:B7:65:20:E9:55',
        chip: 'ESP32-S3',
        topicFamily: 'devices',
        statusForm: 'seed',
        connection: {
          host: mqtt.host,
          port: mqtt.port,
          ca: read(mqtt.caFile),
          cert: read(certificateFile),
          key: read(privateKeyFile),
        },
        clock,
        ...options,
      });
      environment.devices.push(device);
      device.start();
      return device;
    },
    now: () => new Date(clock.now()),
    advance,
    async later(minutes) {
      await advance({ minutes });
      await runtime.tick();
      await clock.advance(BATCH_WINDOW_SECONDS);
      await runtime.idle();
    },
    async until<Row>(sql: string, condition: (row: Row) => boolean = () => true, waitMs = WAIT_MS) {
      const deadline = Date.now() + waitMs;
      for (;;) {
        const rows = await database.query<Row>(sql);
        const found = rows.find(condition);
        if (found !== undefined) return found;
        if (Date.now() > deadline) {
          throw new Error(
            `waited ${waitMs / 1000} s for: ${sql}\nlast: ${JSON.stringify(rows)}\nlog:\n${log.slice(-20).join('\n')}`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async close() {
      if (given === undefined) await environment.switchOff();
      await runtime.close();
      if (given === undefined) await environment.remove();
      grants.expectNoneRefused();
    },
  };
}

/** The secret of the owner of the database in the home folder of a system. */
export function ownerSecretIn(home: string): string {
  const secrets = JSON.parse(readFileSync(join(home, 'secrets.json'), 'utf8')) as Record<string, Secret>;
  const owner = Object.values(secrets).find(({ value }) => value.includes('"paku_owner"'));
  if (owner === undefined) throw new Error(`no secret in ${home}/secrets.json is of the owner of the database`);
  return owner.arn;
}

interface Secret {
  readonly arn: string;
  readonly value: string;
}

const portOf = (url: string) => Number(new URL(url).port);
