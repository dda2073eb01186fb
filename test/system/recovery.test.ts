import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import type { DeviceEvent } from '../../fleet/device-events.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { historyOf, Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 360_000 });

let system: TestSystem;
let client: ApiClient;
beforeAll(async () => {
  system = await startTestSystem();
  const { api, region, s3 } = system.runtime.endpoints;
  client = new ApiClient(api.url, signedFetch(region, s3));
});
afterAll(() => system?.close());

const UP_SECONDS = 10;
const DOWN_SECONDS = 50;
/** More than a story needs, so that a fault ends it. */
const MINUTES = 12;

/** Resolves when each device has had one of these events from now on. */
const each = (vans: Vans, names: readonly string[], ...kinds: DeviceEvent['kind'][]) =>
  Promise.all(
    names.map(
      (name) =>
        new Promise<void>((resolve) => {
          const listener = ({ kind }: DeviceEvent) => {
            if (!kinds.includes(kind)) return;
            vans.device(name).off('state', listener);
            resolve();
          };
          vans.device(name).on('state', listener);
        }),
    ),
  );

test('devices in a crash loop that connect for 10 s a minute are recovered: they are back on the version before, and proven', async () => {
  const names = ['loop-1', 'loop-2'];
  const vans = new Vans(system, 'crash-loop');
  const crashLoop = (version: string) =>
    version === '1.1.0' ? { upSeconds: UP_SECONDS, downSeconds: DOWN_SECONDS } : undefined;
  await vans.arrive(Object.fromEntries(names.map((name) => [name, { crashLoop }])));
  await vans.release('1.0.0');
  await vans.release('1.1.0');
  const id = await vans.rollOut('a crash loop', '1.1.0', { stages: [] });
  const firstCrash = each(vans, names, 'crashed');
  await system.later(0);
  await firstCrash;

  // The devices are up for ten real seconds, and the time passes at once while they are down.
  for (let minute = 0; minute < MINUTES && (await client.rollout(id)).state !== 'halted'; minute++) {
    const crash = each(vans, names, 'crashed');
    await system.advance({ seconds: DOWN_SECONDS });
    await crash;
    await system.later(0);
  }
  expect(await client.rollout(id)).toMatchObject({ state: 'halted', paused_reason: expect.stringMatching(/^2 of 2/) });
  expect(await vans.statuses()).toEqual({ 'loop-1': ['failed'], 'loop-2': ['failed'] });
  expect(new Set(Object.values(await vans.versions()))).toEqual(new Set(['1.1.0']));

  expect(await client.previewRecovery(id)).toMatchObject({
    can_recover: true,
    devices: 2,
    by_version: [{ firmware_version: '1.0.0', devices: 2 }],
  });
  const { recoveries } = await client.recover(id, 'it restarts again and again');
  // No tick of the orchestrator is needed: a device gets its command in the ten seconds for which it is connected.
  let left = names;
  for (let minute = 0; minute < MINUTES && left.length > 0; minute++) {
    const contact = each(vans, left, 'crashed', 'running');
    await system.advance({ seconds: DOWN_SECONDS });
    await contact;
    await system.runtime.idle();
    // Asked of the devices themselves, so that none boots between this and the next listener.
    left = names.filter((name) => vans.device(name).firmwareVersion === '1.1.0');
  }
  await system.until(
    `SELECT 1 FROM devices WHERE device_id LIKE 'loop-%' AND current_firmware_version = '1.0.0' HAVING count(*) = 2`,
  );
  expect(await vans.versions()).toEqual({ 'loop-1': '1.0.0', 'loop-2': '1.0.0' });
  await vans.prove();
  await system.later(1);

  expect(await vans.statuses()).toEqual({ 'loop-1': ['failed', 'success'], 'loop-2': ['failed', 'success'] });
  expect(await client.rollout(recoveries[0]?.rollout_id ?? 0)).toMatchObject({ succeeded: 2, failed: 0 });
  expect(await client.previewRecovery(id)).toMatchObject({ devices: 0, cannot: [], recoveries: [{ succeeded: 2 }] });
  expect(await historyOf(system, id)).toEqual(['rollout_started', 'rollout_halted', 'rollout_recovered']);
});
