import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { historyOf, Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 120_000 });

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

interface Attempt {
  readonly attempt: number;
  readonly family: string;
  readonly delivery: string;
  /** The outcome of sending. */
  readonly outcome: string;
  readonly reason: string | null;
}

const attemptsOf = (deviceId: string) =>
  system.database.query<Attempt>(
    `SELECT attempt, command_family AS family, delivery, send_result AS outcome, reason FROM update_attempts
     WHERE device_id = :deviceId ORDER BY attempt`,
    { deviceId },
  );

test('a device that listens on the other topic family only is reached by its first command', async () => {
  const vans = new Vans(system, 'deaf');
  await vans.arrive({ 'deaf-to-devices': {} }, { topicFamily: 'edge', statusForm: '1.4.2' });
  await vans.release('1.1.0');
  await vans.rollOut('families', '1.1.0', { stages: [] });
  await system.later(0);
  await vans.update();

  expect(vans.commands()).toEqual({ 'deaf-to-devices': ['1.1.0'] });
  expect(await vans.versions()).toEqual({ 'deaf-to-devices': '1.1.0' });
  expect(await attemptsOf('deaf-to-devices')).toMatchObject([
    { family: 'edge', outcome: 'acknowledged', reason: null },
  ]);
});

test('a failed download is retried, and then with direct delivery', async () => {
  const vans = new Vans(system, 'broken-off');
  await vans.arrive({ 'broken-off': { downloadFailsTimes: 1 } });
  await vans.release('1.1.0');
  await vans.rollOut('broken off', '1.1.0', { stages: [] });
  await system.later(0);
  await system.until(
    `SELECT 1 FROM device_update_status WHERE device_id = 'broken-off' AND status = 'pending' AND attempt = 1`,
  );
  await system.later(3);
  await vans.update();

  expect(await vans.versions()).toEqual({ 'broken-off': '1.1.0' });
  expect(await attemptsOf('broken-off')).toMatchObject([
    { delivery: 'redirect', reason: expect.stringMatching(/./) },
    { delivery: 'direct', reason: null },
  ]);
});

test('devices that sleep during dispatch delay no other device, and are updated when they wake', async () => {
  const vans = new Vans(system, 'asleep');
  await vans.arrive({
    'sleeps-10-minutes': { sleep: { awakeSeconds: 600, asleepSeconds: 600 } },
    'sleeps-an-hour': { sleep: { awakeSeconds: 600, asleepSeconds: 3_600 } },
    awake: {},
  });
  await vans.release('1.1.0');
  await vans.fallAsleep('sleeps-10-minutes', 'sleeps-an-hour');
  const id = await vans.rollOut('two are asleep', '1.1.0', { stages: [] });
  await system.later(0);
  await vans.update('awake');
  await vans.wake('sleeps-10-minutes');
  await vans.update('awake', 'sleeps-10-minutes');
  await vans.wake('sleeps-an-hour');
  await vans.update();
  await vans.prove();

  expect(await vans.versions()).toEqual({ awake: '1.1.0', 'sleeps-10-minutes': '1.1.0', 'sleeps-an-hour': '1.1.0' });
  expect((await historyOf(system, id)).at(-1)).toBe('rollout_completed');
  expect(await vans.updatesOf('sleeps-10-minutes')).toMatchObject([{ attempt: 1, sends: 2 }]);
  expect(await attemptsOf('sleeps-an-hour')).toMatchObject([
    { family: 'devices', outcome: 'unconfirmed', reason: 'no answer to the command within 15 min' },
    { family: 'devices', outcome: 'acknowledged', reason: null },
  ]);
});
