import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Call } from '../support/faults.ts';
import { startTestSystem, type TestSystem } from '../support/system.ts';
import { Vans } from '../support/vans.ts';

vi.setConfig({ testTimeout: 120_000 });

let isStalled = false;
let system: TestSystem;
beforeAll(async () => {
  const onCall = ({ service, caller }: Call) =>
    isStalled && service === 'rds-data' && caller.startsWith('Ingest')
      ? ({ kind: 'refused', code: 'ServiceUnavailableError', status: 503 } as const)
      : undefined;
  system = await startTestSystem(undefined, { onCall });
});
afterAll(() => system?.close());

const updates = () =>
  system.database.query<{ status: string; attempt: number; completed_at: Date | null; error_message: string | null }>(
    'SELECT status, attempt, completed_at, error_message FROM device_update_status ORDER BY id',
  );

test('silence ends no update while messages of devices wait in the queues', async () => {
  const vans = new Vans(system, 'waits');
  await vans.arrive({ 'waits-1': {}, 'waits-2': {} });
  await vans.release('1.1.0');
  await vans.rollOut('waits', '1.1.0', { stages: [], attempt_timeout_minutes: 15, boot_timeout_minutes: 15 });
  // The devices download, install, boot and prove the version meanwhile; nothing of that is processed.
  isStalled = true;
  for (let minutes = 0; minutes < 60; minutes += 5) await system.later(5);
  expect(await updates()).toMatchObject([
    { attempt: 1, completed_at: null, error_message: null },
    { attempt: 1, completed_at: null, error_message: null },
  ]);
  isStalled = false;
  for (let minutes = 0; minutes < 40; minutes += 4) await system.later(4);
  expect(await updates()).toMatchObject([
    { attempt: 1, status: 'success', completed_at: expect.any(Date) },
    { attempt: 1, status: 'success', completed_at: expect.any(Date) },
  ]);
  const verdicts = await system.database.query(`SELECT reason FROM update_attempts WHERE reason IS NOT NULL`);
  expect(verdicts).toEqual([]);
});
