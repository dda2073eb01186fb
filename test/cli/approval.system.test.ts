import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { buildImage } from '../../fleet/build-image.ts';
import { ASSEMBLY } from '../support/assembly.ts';
import { Cli } from '../support/cli.ts';
import { NEVER_IDLE, startTestSystem, type TestSystem } from '../support/system.ts';

// Each step is a process of its own, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000 });

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem(ASSEMBLY, {}, { ...NEVER_IDLE, REQUIRE_APPROVAL: 'true' });
});
afterAll(() => system?.close());

test('what one person requests is sent once a second person has approved it, and not before', async () => {
  const operator = new Cli(system.home);
  const approver = new Cli(system.home, { PAKU_OTA_USER: 'approver' });
  await system.upload('firmware/1.1.0/esp32-s3.bin', buildImage({ version: '1.1.0' }));
  await system.device({ deviceId: 'd0' });
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM firmware_releases', ({ n }) => n === 1);
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM devices', ({ n }) => n === 1);

  const flags = ['--model', 'esp32-s3', '--version', '1.1.0', '--name', 'vans', '--yes'];
  const created = await operator.run('rollout', 'create', ...flags);
  expect(created).toMatchObject({ code: 0 });
  expect(created.stdout).toContain('A second person must approve it: paku-ota rollout approve "vans"');
  expect(created.stderr).toContain('Warning: it sends nothing until a second person has approved it');
  await system.later(1);
  expect(await operator.print('rollout', 'list')).toContain('waits for approval of its start');
  expect(await operator.print('fleet')).toContain('waits for approval by a second person');

  const decide = ['rollout', 'approve', 'vans', '--reason', 'read it'];
  const own = await operator.run(...decide, '--yes');
  expect(own.code).not.toBe(0);
  expect(own.stderr).toContain('you cannot approve it: you requested it');
  const unasked = await approver.run(...decide);
  expect(unasked.stderr).toContain('1.1.0 is sent to at most 1 device. There is no terminal to answer on: add --yes.');
  const approved = await approver.run(...decide, '--yes');
  expect(approved).toMatchObject({ code: 0 });
  expect(approved.stderr).toContain('user/operator requested its start');
  expect(await operator.print('rollout', 'show', 'vans')).toMatch(/^vans {2}active/);
  expect(await operator.print('rollout', 'history', 'vans')).toMatch(/approved +user\/approver +read it/);
  await system.later(1);
  await system.until<{ n: number }>('SELECT count(*)::integer AS n FROM device_update_status', ({ n }) => n === 1);

  const again = await approver.run('rollout', 'reject', 'vans', '--reason', 'too late');
  expect(again.stderr).toContain('nothing of "vans" waits for approval: it is active');
});
