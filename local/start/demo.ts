import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Database } from '../../core/db/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { type Chip, chipOf } from '../../fleet/chips.ts';
import { Fleet } from '../../fleet/fleet.ts';
import type { MemberKind } from '../../fleet/fleet-mix.ts';
import type { Endpoints } from '../home/index.ts';
import type { LocalRuntime } from '../runtime/index.ts';
import type { StartOptions } from './options.ts';

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
/** The build that does not boot, on any van. */
const BAD_VERSION = '1.2.0';
/** Slow enough for progress to be seen. */
const RADIO = { bytesPerSecond: 100_000 };
const LOOK_MS = 1_000;

/** What the demonstration rolls out. */
interface DemoRelease {
  readonly model: string;
  readonly version: string;
  readonly image: Buffer;
}

/** An image of the reader's own, and the chip that it is for. */
export interface OwnImage extends DemoRelease {
  readonly chip: Chip;
}

/** What is remembered of it in the home folder: the next start goes on with the same fleet. */
type OwnFleet = Pick<OwnImage, 'model' | 'chip'>;
const OWN_FLEET_FILE = 'own-fleet.json';

/** @throws Error for a file that no virtual device could run */
export function readOwnImage({ firmware, model, version }: StartOptions): OwnImage | undefined {
  if (firmware === undefined) return undefined;
  if (!existsSync(firmware)) throw new Error(`--firmware ${firmware}: there is no such file`);
  const image = readFileSync(firmware);
  const chip = /^esp8266/i.test(model) ? 'ESP8266' : chipOf(image);
  if (chip === undefined) {
    throw new Error(
      `--firmware ${firmware} is no application image of a known chip: expected the build's .bin, beginning with 0xe9; not the merged one, an ELF or a UF2 file`,
    );
  }
  return { model, version, image, chip };
}

function ownFleet(home: string, own: OwnImage | undefined): OwnFleet | undefined {
  const file = join(home, OWN_FLEET_FILE);
  if (own === undefined) return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as OwnFleet) : undefined;
  const { model, chip } = own;
  writeFileSync(file, JSON.stringify({ model, chip }));
  return { model, chip };
}

/**
 * Plays a release day: a fleet that reports, an uploaded image, a rollout; and unless the image is the reader's own, the
 * next build, which does not boot and is halted. Everything from outside: MQTT, S3, rows of SQL. @returns what ends it
 */
export async function startDemo(
  runtime: LocalRuntime,
  database: Database,
  home: string,
  own: OwnImage | undefined,
  devices: number,
): Promise<() => Promise<void>> {
  const fleetOf = ownFleet(home, own);
  const bootFails = (version: string) => fleetOf === undefined && version === BAD_VERSION;
  const fleet = makeFleet(runtime, database, devices, fleetOf, bootFails);
  await fleet.start();
  // A fleet of the reader's own image, started again without it, goes on with what it was told.
  if (own !== undefined || fleetOf === undefined)
    await rollOut(runtime.endpoints, database, own ?? built(NEXT_VERSION));
  const ending = new AbortController();
  const { signal } = ending;
  const goesOn = fleetOf === undefined ? rollOutBadBuild(runtime.endpoints, database, signal) : undefined;
  const ended = goesOn?.catch((error: Error) => signal.aborted || console.error(`demonstration: ${error.message}`));
  return async () => {
    ending.abort();
    await ended;
    await fleet.stop();
  };
}

function makeFleet(
  runtime: LocalRuntime,
  database: Database,
  size: number,
  own: OwnFleet | undefined,
  bootFails: (version: string) => boolean,
): Fleet {
  // Older firmware does not say its model: it is taken for an esp32-s3.
  const kinds = own === undefined ? VANS : VANS.map((kind) => ({ ...kind, ...own, statusForm: '1.4.2' as const }));
  return new Fleet({
    size,
    firmwareVersion: FIRST_VERSION,
    mix: kinds.map((kind) => ({ ...kind, behaviours: { ...kind.behaviours, ...RADIO, bootFails } })),
    persist: versionsIn(database, bootFails),
    common: { heartbeatSeconds: 15 },
    connectionFor: (deviceId) => connect(runtime, deviceId),
  });
}

function built(version: string): DemoRelease {
  return { model: 'esp32-s3', version, image: buildImage({ chip: 'ESP32-S3', version, codeBytes: 600_000 }) };
}

/** Once every van runs the good one. After a restart it finds what it did before, and that is not done again. */
async function rollOutBadBuild(endpoints: Endpoints, database: Database, signal: AbortSignal): Promise<void> {
  const isDone = async () => {
    const rows = await database.query(
      'SELECT 1 FROM rollout_configurations WHERE name = :name AND completed_at IS NOT NULL',
      { name: nameOf(NEXT_VERSION) },
    );
    return rows.length > 0;
  };
  while (!(await isDone())) await delay(LOOK_MS, undefined, { signal });
  await rollOut(endpoints, database, built(BAD_VERSION));
}

/** Two vans, then the rest. Nobody wants to watch for the minutes that a rollout takes its time with by itself. */
async function rollOut(endpoints: Endpoints, database: Database, release: DemoRelease): Promise<void> {
  const { version, model } = release;
  await upload(endpoints, release);
  if (!(await isRegistered(database, release))) return;
  await database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages, probation_minutes,
       attempt_timeout_minutes)
     VALUES (:name, :version, :model, '[{"count": 2}]', 0, 1)
     ON CONFLICT (name) DO NOTHING`,
    { name: nameOf(version), version, model },
  );
}

/** Waits for the verdict. What was rejected is not rolled out; the view says why. */
async function isRegistered(database: Database, { model, version }: DemoRelease): Promise<boolean> {
  const key = `firmware/${version}/${model}.bin`;
  for (;;) {
    const [row] = await database.query<{ registered: boolean; rejected: boolean }>(
      `SELECT EXISTS (SELECT FROM firmware_releases WHERE device_model = :model AND version = :version) AS registered,
         EXISTS (SELECT FROM rejected_uploads WHERE object_key = :key) AS rejected`,
      { model, version, key },
    );
    if (row?.registered) return true;
    if (row?.rejected) return false;
    await delay(LOOK_MS);
  }
}

const nameOf = (version: string) => `rollout of ${version}`;

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

/** A fleet that was switched off comes back on the firmware that it had, or had just written, as boards do. */
function versionsIn(database: Database, bootFails: (version: string) => boolean) {
  return {
    async get(deviceId: string): Promise<string | undefined> {
      const [row] = await database.query<{ current: string; written: string | null }>(
        `SELECT d.current_firmware_version AS current, u.firmware_version AS written
         FROM devices AS d LEFT JOIN device_update_status AS u ON u.device_id = d.device_id AND u.completed_at IS NULL
           AND u.installed_at IS NOT NULL AND u.rollout_id IS NOT NULL
         WHERE d.device_id = :deviceId AND d.current_firmware_version <> 'unknown'`,
        { deviceId },
      );
      return row?.written == null || bootFails(row.written) ? row?.current : row.written;
    },
    set(): void {},
  };
}
