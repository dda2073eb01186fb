import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { buildImage } from '../../fleet/build-image.ts';
import { scaledClock } from '../../fleet/clock.ts';
import type { Behaviours } from '../../fleet/device-options.ts';
import type { TestSystem } from './system.ts';

const VAN = 'esp32-s3';
const DISPLAY = 'lilygo-t-display-s3';
const VANS = 18;
const DISPLAYS = 6;
/** Partition size of a board that is too small for the image. */
const SMALL_PARTITION = 100_000;

const vanId = (index: number) => `ESP32-${(0x20e955a0 + index * 0x1f31).toString(16).toUpperCase()}`;
const displayId = (index: number) => `ESP32-${(0x7d1165c4 + index * 0x2b17).toString(16).toUpperCase()}`;

/** A device whose update failed. */
export const TROUBLED_DEVICE = vanId(2);
export const RELEASE_PATH = `/releases/${VAN}/1.2.0`;

export interface ReleaseDay {
  readonly stagedRollout: number;
  readonly haltedRollout: number;
}

/**
 * Creates a fleet with work in progress: a completed rollout, one that soaks after its first stage with failures, one
 * that was halted, a draft, rejected uploads, and a month of history, which is inserted.
 */
export async function playReleaseDay(system: TestSystem): Promise<ReleaseDay> {
  const { region, api, dataApi } = system.runtime.endpoints;
  const client = new ApiClient(api.url, signedFetch(region, dataApi));
  await switchOn(system);
  await client.changeGroup('early', { add: [vanId(0), vanId(1), vanId(4)] });
  await client.changeGroup('vans', { add: Array.from({ length: VANS }, (_, index) => vanId(index)) });
  await client.setAttributes(vanId(2), { region: 'north', heater: true });
  await upload(system);

  const common = { device_model: VAN, firmware_version: '1.2.0', probation_minutes: 0, max_attempts: 1 };
  await client.createRollout({
    ...common,
    name: 'early vans to 1.2.0',
    target_type: 'group',
    target_filter: { groups: ['early'] },
    stages: [],
  });
  await whenState(system, 'early vans to 1.2.0', 'completed');
  const staged = await client.createRollout({
    ...common,
    name: 'all vans to 1.2.0',
    // Failures are reported earlier than successes, and must not halt the rollout before them.
    failure_threshold: 0.9,
    stages: [{ percentage: 60, soak_minutes: 60, min_success_rate: 0.5 }, { percentage: 90 }],
  });
  const halted = await client.createRollout({
    ...common,
    name: 'displays to 1.0.0',
    device_model: DISPLAY,
    firmware_version: '1.0.0',
    failure_count: 2,
    stages: [],
  });
  await client.createRollout({ ...common, name: 'vans to 1.3.0', firmware_version: '1.3.0', is_active: false });
  await whenState(system, 'displays to 1.0.0', 'halted');
  await eventually(
    system,
    `SELECT 1 FROM rollout_stages WHERE rollout_id = ${staged.rollout_id} AND gate_held_since IS NOT NULL`,
  );
  await writeHistory(system);
  return { stagedRollout: staged.rollout_id, haltedRollout: halted.rollout_id };
}

async function switchOn(system: TestSystem): Promise<void> {
  const clock = scaledClock(20);
  const mac = (index: number) => `A0:B7:65:20:E9:${(16 + index).toString(16).toUpperCase()}`;
  for (let index = 0; index < VANS; index++) {
    const isSmall = index === 2 || index === 9;
    const behaviours: Behaviours = index === 7 ? { downloadFailsTimes: 1 } : {};
    await system.device({
      deviceId: vanId(index),
      mac: mac(index),
      statusForm: '1.4.2',
      firmwareVersion: index === VANS - 1 ? '2.0.0' : index % 5 === 3 ? '1.1.0' : '1.0.0',
      clock,
      behaviours,
      ...(isSmall ? { otaPartitionBytes: SMALL_PARTITION } : {}),
    });
  }
  for (let index = 0; index < DISPLAYS; index++) {
    const identity = { deviceId: displayId(index), mac: mac(32 + index), model: DISPLAY };
    await system.device({ ...identity, firmwareVersion: '0.9.0', clock, otaPartitionBytes: SMALL_PARTITION });
  }
  const all = VANS + DISPLAYS;
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM devices', ({ n }) => n === all);
}

async function upload(system: TestSystem): Promise<void> {
  const image = (version: string) => buildImage({ version, project: 'van-heater', codeBytes: 300_000 });
  await system.upload(`firmware/1.2.0/${VAN}.bin`, image('1.2.0'), {
    changelog: 'The heater starts below -10 C',
    'min-version': '1.0.0',
  });
  await system.upload(`firmware/1.3.0/${VAN}.bin`, image('1.3.0-rc1'));
  await system.upload(`firmware/1.0.0/${DISPLAY}.bin`, buildImage({ version: '1.0.0', codeBytes: 120_000 }));
  await system.upload(`firmware/1.2.0/${VAN.replace('s3', 'c3')}.bin`, image('1.2.0'));
  await system.upload(`firmware/1.4.0/${VAN}.bin`, Buffer.from('<!doctype html><title>Sign in</title>'));
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM firmware_releases', ({ n }) => n === 3);
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM rejected_uploads', ({ n }) => n === 2);
}

const whenState = (system: TestSystem, name: string, state: string) =>
  eventually(system, `SELECT 1 FROM rollout_overview WHERE name = '${name}' AND state = '${state}'`);

/** A whole rollout takes long when many tests share a machine. */
const eventually = (system: TestSystem, sql: string) => system.until(sql, undefined, 80_000);

/** Inserts the history of the fleet: a sample every half hour for a month. */
async function writeHistory(system: TestSystem): Promise<void> {
  await system.database.query(
    `INSERT INTO fleet_versions (sampled_at, device_model, firmware_version, devices)
     SELECT at, v.model, v.version, v.devices FROM (
       SELECT at, least(7, greatest(0, 7 - round(extract(epoch FROM now() - at) / 8000)))::integer AS updated
       FROM generate_series(now() - interval '30 days', now() - interval '10 minutes', interval '30 minutes') AS at
     ) AS moments
     CROSS JOIN LATERAL (VALUES
       ('${VAN}', '2.0.0', 1), ('${VAN}', '1.0.0', 13 - updated), ('${VAN}', '1.1.0', 4 - least(2, updated / 3)),
       ('${VAN}', '1.2.0', updated + least(2, updated / 3)), ('${DISPLAY}', '0.9.0', 6)
     ) AS v(model, version, devices) WHERE v.devices > 0
     ON CONFLICT DO NOTHING`,
  );
}
