import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { historyOf, SLOW, Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 120_000 });

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

test('the newer of two rollouts gets the devices without a command of the older, and no update is interrupted or reverted', async () => {
  const vans = new Vans(system, 'overlap');
  await vans.arrive({ busy: SLOW, absent: {} });
  await vans.device('absent').stop();
  await vans.release('1.1.0');
  await vans.release('1.2.0');
  const older = await vans.rollOut('to 1.1', '1.1.0', { stages: [] });
  await system.later(0);
  await system.until(`SELECT 1 FROM device_update_status WHERE device_id = 'busy' AND status = 'downloading'`);
  await vans.arrive({ joins: {} });
  const newer = await vans.rollOut('to 1.2', '1.2.0', { stages: [] });
  await system.later(1);
  vans.device('absent').start();
  await vans.update('joins');
  await vans.update('absent');
  expect(vans.commands()).toEqual({ busy: ['1.1.0'], absent: ['1.2.0'], joins: ['1.2.0'] });

  await vans.finishDownload('busy');
  await vans.update();
  await vans.prove();
  await system.until(
    `SELECT 1 FROM device_update_status WHERE device_id = 'busy' AND firmware_version = '1.2.0' AND status = 'downloading'`,
  );
  await vans.finishDownload('busy');
  await vans.update();
  await vans.prove();
  await system.later(1);
  expect(vans.commands()).toEqual({ busy: ['1.1.0', '1.2.0'], absent: ['1.2.0'], joins: ['1.2.0'] });
  expect(await vans.versions()).toEqual({ absent: '1.2.0', busy: '1.2.0', joins: '1.2.0' });
  expect(await vans.updatesOf('absent')).toMatchObject([
    { rollout: 'to 1.1', status: 'canceled', reason: 'rollout "to 1.2" took over' },
    { rollout: 'to 1.2', status: 'success' },
  ]);
  expect((await historyOf(system, older)).at(-1)).toBe('rollout_completed');
  expect((await historyOf(system, newer)).at(-1)).toBe('rollout_completed');
});

test('a device reaches a release with a minimum version through its stepping stone', async () => {
  const vans = new Vans(system, 'stepping');
  await vans.arrive({ far: {} });
  await vans.arrive({ near: {} }, { firmwareVersion: '1.6.0' });
  await vans.release('1.5.0');
  await vans.release('2.0.0', { 'min-version': '1.5.0' });
  const id = await vans.rollOut('to 2.0', '2.0.0', { stages: [] });
  await system.later(0);
  await vans.update();
  await vans.prove();
  await vans.update();
  await vans.prove();
  await system.later(1);

  expect(vans.commands()).toEqual({ far: ['1.5.0', '2.0.0'], near: ['2.0.0'] });
  expect(await vans.versions()).toEqual({ far: '2.0.0', near: '2.0.0' });
  expect((await historyOf(system, id)).at(-1)).toBe('rollout_completed');
});
