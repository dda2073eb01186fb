import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { historyOf, Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 180_000 });

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

test('a build that restarts every few minutes, and that each van proves, is halted by its restarts', async () => {
  const vans = new Vans(system, 'restarts');
  const loops = {
    crashLoop: (version: string) => (version === '1.1.0' ? { upSeconds: 240, downSeconds: 0.2 } : undefined),
  };
  await vans.arrive(Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`restarts-${n + 1}`, loops])));
  // They have run 1.0.0 for a week and have not restarted.
  await system.database.query(
    `UPDATE devices SET observed_seconds = 7 * 86400, report_interval_seconds = 300 WHERE device_model = 'restarts'`,
  );
  await vans.release('1.1.0');
  const id = await vans.rollOut('a build that restarts', '1.1.0', { stages: [{ count: 4, soak_minutes: 240 }] });
  await system.later(0);
  const reached = Object.keys(vans.commands());
  expect(reached).toHaveLength(4);
  await vans.update(...reached);

  const isHalted = async () => (await historyOf(system, id)).at(-1) === 'rollout_halted';
  for (let crashes = 0; crashes < 12 && !(await isHalted()); crashes++) {
    const before = system.now();
    await system.later(4.5);
    await system.until(
      `SELECT count(*)::integer AS left FROM devices
       WHERE current_firmware_version = '1.1.0' AND last_seen <= '${before.toISOString()}'`,
      (row: { left: number }) => row.left === 0,
    );
  }
  const [rollout] = await system.database.query<{ reason: string; by: string }>(
    'SELECT paused_reason AS reason, paused_by AS by FROM rollout_configurations WHERE id = :id',
    { id },
  );
  expect(rollout).toEqual({
    by: 'orchestrator',
    reason: expect.stringMatching(
      /^devices on 1\.1\.0 restart 1\d times per hour \([\d.]+ device-hours of 4 devices\), and 0 times before \(672 device-hours\); the rollout allows 2 times as often and one restart a day$/,
    ),
  });
  const updates = await Promise.all(reached.map((van) => vans.updatesOf(van)));
  expect(updates.map(([update]) => update?.status)).toEqual(Array(4).fill('success'));
  expect(Object.keys(vans.commands())).toHaveLength(4);
});
