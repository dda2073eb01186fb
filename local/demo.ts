import { readFileSync } from 'node:fs';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Database } from '../core/database.ts';
import { buildImage } from '../fleet/build-image.ts';
import { Fleet } from '../fleet/fleet.ts';
import type { MemberKind } from '../fleet/fleet-mix.ts';
import type { Endpoints } from './home.ts';
import type { StartOptions } from './options.ts';
import type { LocalRuntime } from './runtime.ts';

/** Vans of every firmware generation; one sleeps, so that something is seen to wake. */
const VANS: readonly MemberKind[] = [
  { model: 'esp32-s3', chip: 'ESP32-S3', topicFamily: 'devices', statusForm: 'seed' },
  { model: 'esp32-s3', chip: 'ESP32-S3', topicFamily: 'devices', statusForm: '1.2.3' },
  { model: 'esp32-s3', chip: 'ESP32-S3', topicFamily: 'both', statusForm: '1.4.2' },
  {
    model: 'esp32-s3',
    chip: 'ESP32-S3',
    topicFamily: 'both',
    statusForm: '1.4.2',
    behaviours: { sleep: { awakeSeconds: 10, asleepSeconds: 15 } },
  },
];

const FIRST_VERSION = '1.0.0';
const NEXT_VERSION = '1.1.0';
/** Slow enough for progress to be seen. */
const RADIO = { bytesPerSecond: 100_000 };

/** What the demonstration rolls out. */
interface DemoRelease {
  readonly model: string;
  readonly version: string;
  readonly image: Buffer;
}

/** Plays a release day: a fleet that reports, an uploaded image, a rollout. Everything from outside: MQTT, S3, one row of SQL. */
export async function startDemo(runtime: LocalRuntime, database: Database, options: StartOptions): Promise<Fleet> {
  const release = readRelease(options);
  const fleet = new Fleet({
    size: options.devices,
    firmwareVersion: FIRST_VERSION,
    mix: VANS.map((kind) => ({ ...kind, model: release.model, behaviours: { ...kind.behaviours, ...RADIO } })),
    persist: versionsIn(database),
    common: { heartbeatSeconds: 15 },
    connectionFor: (deviceId) => connect(runtime, deviceId),
  });
  await fleet.start();
  await upload(runtime.endpoints, release);
  await database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, target_type, target_filter,
       rollout_percentage, is_active, stages, survival_minutes)
     VALUES (:name, :version, :model, 'all', '{}', 100, true, '[{"count": 2}]', 0)
     ON CONFLICT (name) DO NOTHING`,
    { name: `first rollout of ${release.version}`, version: release.version, model: release.model },
  );
  return fleet;
}

function readRelease({ firmware, model, version }: StartOptions): DemoRelease {
  if (firmware !== undefined) return { model, version, image: readFileSync(firmware) };
  const image = buildImage({ chip: 'ESP32-S3', version: NEXT_VERSION, codeBytes: 600_000 });
  return { model: 'esp32-s3', version: NEXT_VERSION, image };
}

async function upload({ region, s3 }: Endpoints, { model, version, image }: DemoRelease): Promise<void> {
  const client = new S3Client({ region, endpoint: s3.endpoint, credentials: s3 });
  await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key: `firmware/${version}/${model}.bin`, Body: image }));
  client.destroy();
}

async function connect({ endpoints: { mqtt }, addDevice }: LocalRuntime, deviceId: string) {
  const { certificateFile, privateKeyFile } = await addDevice(deviceId);
  const read = (file: string) => readFileSync(file, 'utf8');
  return {
    host: mqtt.host,
    port: mqtt.port,
    ca: read(mqtt.caFile),
    cert: read(certificateFile),
    key: read(privateKeyFile),
  };
}

/** A fleet that was switched off comes back on the firmware that it had, as boards do. */
function versionsIn(database: Database) {
  return {
    async get(deviceId: string): Promise<string | undefined> {
      const [row] = await database.query<{ version: string }>(
        `SELECT current_firmware_version AS version FROM devices
         WHERE device_id = :deviceId AND current_firmware_version <> 'unknown'`,
        { deviceId },
      );
      return row?.version;
    },
    set(): void {},
  };
}
