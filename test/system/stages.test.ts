import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { historyOf, Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 120_000 });

let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem();
});
afterAll(() => system?.close());

test('a rollout in stages advances from one van to half of the vans to all by itself, with a soak after each stage', async () => {
  const vans = new Vans(system, 'staged');
  const names = ['staged-1', 'staged-2', 'staged-3', 'staged-4', 'staged-5', 'staged-6'];
  await vans.arrive(Object.fromEntries(names.map((name) => [name, {}])));
  await vans.release('1.1.0');
  const id = await vans.rollOut('in stages', '1.1.0', {
    stages: [
      { count: 1, soak_minutes: 30 },
      { percentage: 50, soak_minutes: 60 },
    ],
  });
  const told = () => Object.keys(vans.commands());

  await system.later(0);
  await vans.update();
  const first = told();
  expect(first).toHaveLength(1);

  await vans.prove();
  await system.later(29);
  expect(told()).toEqual(first);
  await system.later(2);
  await vans.update();
  expect(told()).toHaveLength(3);
  expect(told()).toEqual(expect.arrayContaining(first));

  await vans.prove();
  await system.later(59);
  expect(told()).toHaveLength(3);
  await system.later(2);
  await vans.update();
  await vans.prove();

  expect(vans.commands()).toEqual(Object.fromEntries(names.map((name) => [name, ['1.1.0']])));
  expect(await vans.versions()).toEqual(Object.fromEntries(names.map((name) => [name, '1.1.0'])));
  expect(await historyOf(system, id)).toEqual([
    'rollout_started',
    'rollout_stage_began',
    'rollout_stage_began',
    'rollout_completed',
  ]);
});
