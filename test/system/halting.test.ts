import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { explainDevice } from '../../core/explain/index.ts';
import { abortRollout, resumeRollout, stopRollout } from '../../core/rollouts/index.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { historyOf, SLOW, Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 120_000 });

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

const explain = (rolloutId: number, deviceId: string) =>
  explainDevice(system.database, rolloutId, deviceId, system.now());

interface Paused {
  readonly reason: string | null;
  readonly by: string | null;
}

async function pausedOf(rolloutId: number): Promise<Paused | undefined> {
  const [row] = await system.database.query<Paused>(
    'SELECT paused_reason AS reason, paused_by AS by FROM rollout_configurations WHERE id = :rolloutId',
    { rolloutId },
  );
  return row;
}

const SLEEPER = { sleep: { awakeSeconds: 3_600, asleepSeconds: 600 } };
const numbered = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);

test('a bad build is halted after two of nine vans with default settings', async () => {
  const vans = new Vans(system, 'bad-build');
  const names = numbered('bad', 9);
  await vans.arrive(Object.fromEntries(names.map((name) => [name, { bootFails: () => true }])));
  await vans.release('1.1.0');
  const id = await vans.rollOut('a bad build', '1.1.0');

  while ((await historyOf(system, id)).at(-1) !== 'rollout_halted') {
    await system.later(1);
    await vans.update();
  }
  expect(await pausedOf(id)).toEqual({
    reason: '2 of 2 devices failed; the rollout allows 10%',
    by: 'orchestrator',
  });
  const reached = Object.keys(vans.commands());
  expect(reached).toHaveLength(2);
  const mails = () => system.log.filter((line) => line.startsWith('mail of the alarm topic:'));
  const [mail = ''] = mails();
  expect(mail).toContain(`Halted: Rollout 'a bad build' (1.1.0 for`);
  expect(mail).toContain('Reason: 2 of 2 devices failed; the rollout allows 10%');
  expect(mail).toContain('9 assigned, 0 proven, 2 failed, 0 silent');
  expect(mail).toContain(`reported 1.0.0 again after a reboot: 1.1.0 did not boot, on 2 devices: `);
  for (const name of reached) expect(mail).toContain(name);
  expect(mail).toContain(`paku-ota rollout abort ${id} --reason`);
  expect(mail).toContain(`paku-ota rollout recover ${id}`);

  await system.later(60);
  await system.later(24 * 60);
  expect(mails()).toHaveLength(1);
  expect(vans.commands()).toEqual(Object.fromEntries(reached.map((name) => [name, ['1.1.0']])));
  expect(new Set(Object.values(await vans.versions()))).toEqual(new Set(['1.0.0']));
  expect(await explain(id, reached[0] ?? '')).toMatchObject({
    rule: 'rolled back in attempt 1: reported 1.0.0 again after a reboot: 1.1.0 did not boot',
    next: 'nothing, unless failed devices are retried',
  });
  const spared = names.find((name) => !reached.includes(name)) ?? '';
  expect(await explain(id, spared)).toMatchObject({
    rule: 'canceled in attempt 0: the rollout was stopped before the device fetched its image',
    next: 'nothing, unless the rollout is resumed',
  });
});

test('a van that rolls back at boot and one that rolls back after a minute both end as rolled back, each with its reason', async () => {
  const vans = new Vans(system, 'back');
  await vans.arrive({
    'back-at-once': { bootFails: () => true },
    'back-later': { crashesAfterSeconds: () => 60 },
    'back-never': {},
  });
  await vans.release('1.1.0');
  const id = await vans.rollOut('back', '1.1.0', { stages: [], failure_threshold: 1 });
  await system.later(0);
  await vans.update();
  expect(await explain(id, 'back-later')).toMatchObject({
    rule: 'is on probation with 1.1.0',
    next: expect.stringContaining('proven by its first status after the probation'),
  });

  await system.advance({ seconds: 61 });
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'back-later' AND current_firmware_version = '1.0.0'`);
  await system.later(5);
  const outcome = async (deviceId: string) =>
    (await vans.updatesOf(deviceId)).map(({ status, reason }) => [status, reason]);
  expect(await outcome('back-at-once')).toEqual([
    ['rolled_back', 'reported 1.0.0 again after a reboot: 1.1.0 did not boot'],
  ]);
  expect(await outcome('back-later')).toEqual([
    ['rolled_back', 'reported 1.0.0 again after a reboot: 1.1.0 did not stay up'],
  ]);
  expect(await outcome('back-never')).toEqual([['success', null]]);
});

test('a paused rollout sends nothing, not even to devices that reconnect, and completes after it is resumed', async () => {
  const vans = new Vans(system, 'paused');
  await vans.arrive({ 'paused-slow': SLOW, 'paused-asleep': SLEEPER, 'paused-absent': {} });
  await vans.release('1.1.0');
  await vans.fallAsleep('paused-asleep');
  await vans.device('paused-absent').stop();
  const id = await vans.rollOut('to be paused', '1.1.0', { stages: [] });
  await system.later(0);
  await system.until(`SELECT 1 FROM device_update_status WHERE device_id = 'paused-slow' AND status = 'downloading'`);

  const pause = { rolloutId: id, reason: 'a look at the vans first', by: 'operator' };
  expect(await stopRollout(system.database, pause, system.now())).toBe(true);
  await system.later(1);
  expect(await vans.statuses()).toEqual({
    'paused-absent': ['canceled'],
    'paused-asleep': ['canceled'],
    'paused-slow': ['downloading'],
  });
  await vans.wake('paused-asleep');
  vans.device('paused-absent').start();
  await vans.finishDownload('paused-slow');
  await vans.update();
  await system.later(7);
  expect(vans.commands()).toEqual({ 'paused-slow': ['1.1.0'] });
  expect(await explain(id, 'paused-absent')).toMatchObject({ next: 'nothing, unless the rollout is resumed' });

  const resume = { rolloutId: id, reason: 'they look fine', by: 'operator' };
  expect(await resumeRollout(system.database, resume, system.now())).toBe(true);
  await system.later(1);
  await vans.update();
  await vans.prove();
  await vans.prove();
  expect(await vans.versions()).toEqual({ 'paused-absent': '1.1.0', 'paused-asleep': '1.1.0', 'paused-slow': '1.1.0' });
  expect(Object.values(vans.commands())).toEqual([['1.1.0'], ['1.1.0'], ['1.1.0']]);
  expect(await historyOf(system, id)).toEqual([
    'rollout_started',
    'rollout_paused',
    'rollout_resumed',
    'rollout_completed',
  ]);
});

test('an aborted rollout cannot be continued', async () => {
  const vans = new Vans(system, 'aborted');
  await vans.arrive(Object.fromEntries(numbered('aborted', 3).map((name) => [name, {}])));
  await vans.release('1.1.0');
  const id = await vans.rollOut('to be aborted', '1.1.0', { stages: [{ count: 1, soak_minutes: 60 }] });
  await system.later(0);
  await vans.update();
  await vans.prove();
  const abort = { rolloutId: id, reason: 'the wrong build', by: 'operator' };
  expect(await abortRollout(system.database, abort, system.now())).toBe(true);
  expect(await resumeRollout(system.database, { ...abort, reason: 'on with it' }, system.now())).toBe(false);

  await system.later(61);
  await system.later(24 * 60);
  expect(Object.keys(vans.commands())).toHaveLength(1);
  expect(Object.values(await vans.versions()).sort()).toEqual(['1.0.0', '1.0.0', '1.1.0']);
  const spared = numbered('aborted', 3).find((name) => !(name in vans.commands())) ?? '';
  expect(await explain(id, spared)).toMatchObject({ rule: 'the rollout was aborted: the wrong build' });
  expect(await historyOf(system, id)).toEqual(['rollout_started', 'rollout_aborted']);
});
