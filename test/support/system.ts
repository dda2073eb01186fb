import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Database, dataApiDatabase } from '../../core/db/index.ts';
import type { VirtualDeviceOptions } from '../../fleet/device-options.ts';
import { VirtualDevice } from '../../fleet/virtual-device.ts';
import { type LocalRuntime, startRuntime } from '../../local/runtime/index.ts';
import { ASSEMBLY } from './assembly.ts';
import { type Faults, interceptorsOf } from './faults.ts';
import { GrantBook } from './grant-book.ts';
import { MovableClock } from './movable-clock.ts';
import { type OwnDatabase, ownDatabase } from './own-database.ts';

/** The whole system on free ports in a folder of its own, with what stories need to act on it from outside. */
export interface TestSystem {
  readonly runtime: LocalRuntime;
  /** What the runtime said. */
  readonly log: readonly string[];
  /** PAKU_OTA_HOME of the system. */
  readonly home: string;
  /** The database as the application role, through the Data API. */
  readonly database: Database;
  upload(key: string, image: Uint8Array, metadata?: Record<string, string>): Promise<void>;
  /** A virtual device with a certificate of its own, switched on. It is switched off with the system, or with its place. */
  device(options: Partial<VirtualDeviceOptions> & { readonly deviceId: string }): Promise<VirtualDevice>;
  /** The present of the system, its functions and its devices. */
  now(): Date;
  /** Moves that present, once nothing is under way in queues and functions. Timeouts and the database's own clock stay. */
  advance(by: { minutes?: number; seconds?: number }): Promise<void>;
  /** So many minutes later the orchestrator looks, and what it sends is sent. */
  later(minutes: number): Promise<void>;
  /** Polls until the query has a row for which the condition holds. @throws Error with the last rows after 50 s, or `waitMs` */
  until<Row>(sql: string, condition?: (row: Row) => boolean, waitMs?: number): Promise<Row>;
  close(): Promise<void>;
}

/** Stories that write rows by SQL do not wait for the next sweep. */
export const AWAKE = { IDLE_SWEEP_MINUTES: '0' };
const WAIT_MS = 50_000;
const POLL_MS = 50;
/** How long the dispatch queue gathers messages; nobody need wait for that. */
const GATHERING_SECONDS = 1;

/** What stays when a system is closed, and is there for the next one: its data, its time, its ports and its devices. */
export class Place {
  readonly home = mkdtempSync(join(tmpdir(), 'paku-ota-'));
  readonly clock = new MovableClock();
  readonly devices: VirtualDevice[] = [];
  ports = { mqtt: 0, aws: 0, api: 0 };
  readonly #server: OwnDatabase | undefined;

  private constructor(server: OwnDatabase | undefined) {
    this.#server = server;
  }

  /** With PGlite, or a database of its own on the server that TEST_DATABASE_URL names. */
  static async make(): Promise<Place> {
    return new Place(await ownDatabase());
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

/** @param given where it starts, and what it leaves as it is when it is closed; without one it has a place of its own */
export async function startTestSystem(
  assembly = ASSEMBLY,
  faults: Faults = {},
  variables: Readonly<Record<string, string>> = AWAKE,
  grants = new GrantBook(),
  given?: Place,
): Promise<TestSystem> {
  const place = given ?? (await Place.make());
  const { home, clock, databaseUrl, ports } = place;
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
  place.ports = { mqtt: mqtt.port, aws: portOf(dataApi.endpoint), api: portOf(api.url) };
  const client = { region: runtime.endpoints.region, endpoint: dataApi.endpoint, credentials: dataApi };
  const database = dataApiDatabase(new RDSDataClient(client), dataApi);
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
      await s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: key, Body: image, Metadata: metadata }));
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
      place.devices.push(device);
      device.start();
      return device;
    },
    now: () => new Date(clock.now()),
    advance,
    async later(minutes) {
      await advance({ minutes });
      await runtime.tick();
      await clock.advance(GATHERING_SECONDS);
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
      if (given === undefined) await place.switchOff();
      await runtime.close();
      if (given === undefined) await place.remove();
      grants.expectNoneRefused();
    },
  };
}

const portOf = (url: string) => Number(new URL(url).port);
