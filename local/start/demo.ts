import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import * as z from 'zod';
import { type Database, select } from '../../core/db/index.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { type Chip, chipOf } from '../../fleet/chips.ts';
import { Fleet } from '../../fleet/fleet.ts';
import type { MemberKind } from '../../fleet/fleet-mix.ts';
import { GENERATIONS } from '../../fleet/generations.ts';
import type { Endpoints } from '../home/index.ts';
import type { LocalRuntime } from '../runtime/index.ts';
import type { StartOptions } from './options.ts';

const VAN = { model: 'esp32-s3', chip: 'ESP32-S3' } as const;

/** What a van states about its board, as newer firmware does. */
const BOARD = {
  ...{ slot_bytes: 1_966_080, flash_bytes: 8_388_608, psram_bytes: 8_388_608 },
  ...{ chip_revision: 'v0.2', board_revision: 'C', battery_percent: 87 },
};

/** Vans that do what the firmware of the field does. One sleeps and wakes, which the view shows. */
const VANS: readonly MemberKind[] = [
  { ...VAN, ...GENERATIONS['1.1.0'] },
  { ...VAN, ...GENERATIONS['1.4.0'] },
  { ...VAN, ...GENERATIONS['1.4.2'] },
  {
    model: 'esp32-s3',
    chip: 'ESP32-S3',
    topicFamily: 'both',
    statusForm: '1.4.2',
    facts: () => BOARD,
    behaviours: { sleep: { awakeSeconds: 10, asleepSeconds: 15 } },
  },
];

const FIRST_VERSION = '1.0.0';
const NEXT_VERSION = '1.1.0';
/** This build does not boot on any van. */
const BAD_VERSION = '1.2.0';
/** Slow enough to show progress. */
const RADIO = { bytesPerSecond: 100_000 };
const POLL_MS = 1_000;

/** A release that the demonstration rolls out. */
interface DemoRelease {
  readonly model: string;
  readonly version: string;
  readonly image: Buffer;
}

/** An image that the user brings, and its chip. */
export interface OwnImage extends DemoRelease {
  readonly chip: Chip;
}

/** Saved in the home folder, so that the next start continues with the same fleet. */
type OwnFleet = Pick<OwnImage, 'model' | 'chip'>;
const OWN_FLEET_FILE = 'own-fleet.json';

/** @throws Error for a file that no virtual device can run */
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
 * Plays a release day: a fleet that reports, an uploaded image and a rollout. Unless the user brings an image, a build
 * that does not boot follows, and its rollout is halted. The demonstration uses only the public interfaces: MQTT, S3
 * and SQL.
 * @returns a function that stops it
 */
export async function startDemo(
  runtime: LocalRuntime,
  database: Database,
  home: string,
  own: OwnImage | undefined,
  devices: number,
): Promise<() => Promise<void>> {
  const remembered = ownFleet(home, own);
  const bootFails = (version: string) => remembered === undefined && version === BAD_VERSION;
  const fleet = makeFleet(runtime, database, devices, remembered, bootFails);
  if (remembered !== undefined) await acceptModel(database, fleet, remembered.model);
  await fleet.start();
  // A start without the image that an earlier start had continues the rollout of that image.
  if (own !== undefined || remembered === undefined)
    await rollOut(runtime.endpoints, database, own ?? built(NEXT_VERSION));
  const ending = new AbortController();
  const { signal } = ending;
  const badBuild = remembered === undefined ? rollOutBadBuild(runtime.endpoints, database, signal) : undefined;
  const ended = badBuild?.catch((error: Error) => signal.aborted || console.error(`demonstration: ${error.message}`));
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
  // Older firmware does not report its model, and the service would register it as an esp32-s3. Which board the image of
  // the user is for is not known.
  const kinds =
    own === undefined ? VANS : VANS.map(({ facts: _, ...kind }) => ({ ...kind, ...own, statusForm: '1.4.2' as const }));
  return new Fleet({
    size,
    firmwareVersion: FIRST_VERSION,
    mix: kinds.map((kind) => ({ ...kind, behaviours: { ...kind.behaviours, ...RADIO, bootFails } })),
    persist: versionsIn(database, bootFails),
    common: { heartbeatSeconds: 15 },
    connectionFor: (deviceId) => connect(runtime, deviceId),
  });
}

/** The vans of an earlier start become boards of another model, which is no change that somebody has to accept. */
async function acceptModel(database: Database, fleet: Fleet, model: string): Promise<void> {
  await database.query(
    `UPDATE devices SET device_model = lower(btrim(:model)), model_received_at = coalesce(model_received_at, now()),
       reported_model = NULL, reported_mac = NULL, identity_changed_at = NULL
     WHERE device_id IN (SELECT jsonb_array_elements_text(:vans::jsonb)) AND device_model <> lower(btrim(:model))`,
    { model, vans: fleet.members.map(({ deviceId }) => deviceId) },
  );
}

/** Without a project, so that the image of a user's own project is no other product for the model. */
function built(version: string): DemoRelease {
  const image = buildImage({ chip: 'ESP32-S3', version, project: '', codeBytes: 600_000 });
  return { model: 'esp32-s3', version, image };
}

/** Rolls out the bad build after the good one has completed. After a restart, finished steps are not repeated. */
async function rollOutBadBuild(endpoints: Endpoints, database: Database, signal: AbortSignal): Promise<void> {
  const isDone = async () => {
    const rows = await database.query(
      'SELECT 1 FROM rollout_configurations WHERE name = :name AND completed_at IS NOT NULL',
      { name: nameOf(NEXT_VERSION) },
    );
    return rows.length > 0;
  };
  while (!(await isDone())) await delay(POLL_MS, undefined, { signal });
  await rollOut(endpoints, database, built(BAD_VERSION));
}

/** Rolls out to two vans and then to the rest, without the waits of the default strategy, which take minutes. */
async function rollOut(endpoints: Endpoints, database: Database, release: DemoRelease): Promise<void> {
  const { version, model } = release;
  await upload(endpoints, release);
  if (!(await isRegistered(database, release))) return;
  await database.query(
    `INSERT INTO rollout_configurations (name, firmware_version, device_model, stages, probation_minutes,
       attempt_timeout_minutes, boot_timeout_minutes)
     VALUES (:name, :version, :model, '[{"count": 2}]', 0, 1, 1)
     ON CONFLICT (name) DO NOTHING`,
    { name: nameOf(version), version, model },
  );
}

/** Waits until the upload is registered (true) or rejected (false); the view shows the reason of a rejection. */
async function isRegistered(database: Database, { model, version }: DemoRelease): Promise<boolean> {
  const key = `firmware/${version}/${model}.bin`;
  for (;;) {
    const [row] = await select(
      database,
      z.strictObject({ registered: z.boolean(), rejected: z.boolean() }),
      `SELECT EXISTS (SELECT FROM firmware_releases WHERE device_model = :model AND version = :version) AS registered,
         EXISTS (SELECT FROM rejected_uploads WHERE object_key = :key) AS rejected`,
      { model, version, key },
    );
    if (row?.registered) return true;
    if (row?.rejected) return false;
    await delay(POLL_MS);
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

/** After a restart, a device runs the version that it ran before, or the one that it had just installed. */
function versionsIn(database: Database, bootFails: (version: string) => boolean) {
  return {
    async get(deviceId: string): Promise<string | undefined> {
      const [row] = await select(
        database,
        z.strictObject({ current: z.string(), written: z.string().nullable() }),
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
