import { readFileSync } from 'node:fs';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { connectAsync, type MqttClient } from 'mqtt';
import { dataApiDatabase } from '../../core/db/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { GENERATIONS } from '../../fleet/generations.ts';
import { VirtualDevice } from '../../fleet/virtual-device.ts';
import type { LocalRuntime } from '../../local/runtime/index.ts';
import { addRollout } from '../../test/support/rows.ts';
import { ownerSecretIn } from '../../test/support/system.ts';
import { type TypedDatabase, typed } from '../../test/support/test-sql.ts';

/** Rollouts run concurrently, one per model. */
const MODELS = 10;
/** Short deadlines, so that failures end within minutes, and thresholds at which no rollout halts. */
const RULES = {
  stages: [],
  max_in_flight: 10,
  max_per_minute: 30,
  probation_minutes: 0,
  attempt_timeout_minutes: 2,
  boot_timeout_minutes: 2,
  max_attempts: 2,
  failure_threshold: 1,
};
const HEARTBEAT_SECONDS = 15;
/** One of this many images does not boot, on one of this many devices. */
const BAD = 20;

/** Opens the database of the system in the home folder as its owner. */
export function openDatabase({ endpoints: { region, dataApi } }: LocalRuntime, home: string): TypedDatabase {
  const client = new RDSDataClient({ region, endpoint: dataApi.endpoint, credentials: dataApi });
  return typed(dataApiDatabase(client, { ...dataApi, secretArn: ownerSecretIn(home) }));
}

async function connectionOf(runtime: LocalRuntime, deviceId: string) {
  const { certificateFile, privateKeyFile } = await runtime.addDevice(deviceId);
  const { host, port, caFile } = runtime.endpoints.mqtt;
  const read = (file: string) => readFileSync(file, 'utf8');
  return { host, port, ca: read(caFile), cert: read(certificateFile), key: read(privateKeyFile) };
}

/** The firmware generations of the field in turn, and devices that only follow the contract. */
const KINDS = [
  { topicFamily: 'devices', statusForm: 'seed', keepaliveSeconds: 60 },
  ...Object.values(GENERATIONS),
] as const;

/** Starts virtual devices of ten models that report every 15 s. */
export async function startFleet(runtime: LocalRuntime, count: number): Promise<VirtualDevice[]> {
  const devices: VirtualDevice[] = [];
  for (let n = 0; n < count; n++) {
    const deviceId = `soak-${n}`;
    const device = new VirtualDevice({
      deviceId,
      model: `model-${n % MODELS}`,
      firmwareVersion: '1.0.0',
      mac: `A0:B7:65:20:${hexByte(n >> 8)}:${hexByte(n)}`,
      chip: 'ESP32-S3',
      ...(KINDS[n % KINDS.length] as (typeof KINDS)[number]),
      heartbeatSeconds: HEARTBEAT_SECONDS,
      connection: await connectionOf(runtime, deviceId),
      behaviours: {
        slowRebootSeconds: 1,
        loseMessages: 0.01,
        bootFails: (version) => (Number(version.split('.')[2]) + n) % BAD === 0,
      },
    });
    devices.push(device);
    device.start();
  }
  return devices;
}

const hexByte = (n: number) => (n & 0xff).toString(16).toUpperCase().padStart(2, '0');

/** Starts one rollout after the other for each model. */
export class Releases {
  rollouts = 0;
  readonly #database: TypedDatabase;
  readonly #s3: S3Client;
  readonly #bucket: string;
  readonly #versions = Array.from({ length: MODELS }, () => 0);
  readonly #uploaded = new Set<number>();

  constructor({ endpoints: { region, s3 } }: LocalRuntime, database: TypedDatabase) {
    this.#database = database;
    this.#s3 = new S3Client({ region, endpoint: s3.endpoint, credentials: s3 });
    this.#bucket = s3.bucket;
  }

  /** Starts the next rollout of each model whose rollout has ended. */
  async next(): Promise<void> {
    const busy = await this.#database.query<{ device_model: string }>(
      'SELECT device_model FROM rollout_configurations WHERE completed_at IS NULL',
    );
    const isBusy = new Set(busy.map(({ device_model }) => device_model));
    for (let n = 0; n < MODELS; n++) if (!isBusy.has(`model-${n}`)) await this.#release(n);
  }

  async #release(n: number): Promise<void> {
    const model = `model-${n}`;
    const version = `1.0.${(this.#versions[n] ?? 0) + 1}`;
    const registered = await this.#database.query(
      'SELECT 1 FROM firmware_releases WHERE device_model = :model AND version = :version',
      { model, version },
    );
    if (registered.length === 0) {
      if (!this.#uploaded.has(n)) await this.#upload(model, version);
      this.#uploaded.add(n);
      return;
    }
    await addRollout(this.#database, `${model} ${version}`, version, { device_model: model, ...RULES });
    this.#versions[n] = (this.#versions[n] ?? 0) + 1;
    this.#uploaded.delete(n);
    this.rollouts++;
  }

  async #upload(model: string, version: string): Promise<void> {
    const Body = buildImage({ version, project: model, codeBytes: 60_000 });
    await this.#s3.send(new PutObjectCommand({ Bucket: this.#bucket, Key: `firmware/${version}/${model}.bin`, Body }));
  }
}

/** A device whose messages a script sends. */
export class ScriptedDevice {
  readonly deviceId: string;
  readonly #client: MqttClient;

  private constructor(deviceId: string, client: MqttClient) {
    this.deviceId = deviceId;
    this.#client = client;
  }

  static async open(runtime: LocalRuntime, deviceId: string): Promise<ScriptedDevice> {
    const { host, port, ca, cert, key } = await connectionOf(runtime, deviceId);
    const client = await connectAsync({ protocol: 'mqtts', host, port, ca, cert, key, clientId: deviceId });
    client.on('error', () => {});
    return new ScriptedDevice(deviceId, client);
  }

  /** Sends a status. A new version is never treated as a redundant heartbeat. */
  status(version: string): void {
    const payload = JSON.stringify({ firmware_version: version, device_model: 'voice' });
    this.#client.publish(`paku/edge/${this.deviceId}/status`, payload);
  }

  progress(percent: number): void {
    const payload = JSON.stringify({ state: 'Downloading', percent });
    this.#client.publish(`paku/edge/${this.deviceId}/ota/progress`, payload);
  }

  close(): Promise<void> {
    return this.#client.endAsync();
  }
}
