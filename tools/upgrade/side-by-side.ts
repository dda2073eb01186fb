import { setTimeout as delay } from 'node:timers/promises';
import { ApiClient } from '../../api/client.ts';
import { signedFetch } from '../../api/signed-fetch.ts';
import { AWAKE_MINUTES } from '../../core/orchestrator/index.ts';
import { FaultPlan } from '../../test/support/fault-plan.ts';
import { GrantRecorder } from '../../test/support/grant-recorder.ts';
import { startTestSystem, TestEnvironment, type TestSystem } from '../../test/support/system.ts';
import { Vans } from '../../test/support/vans.ts';
import { findProblems } from './find-problems.ts';

const MODEL = 'side';
const TARGET = '1.1.0';
const FAILING = 'side-5';
const DEVICES = ['side-1', 'side-2', 'side-3', 'side-4', FAILING];
const LATE = 'side-late';
const LOOK_MINUTES = 2;
const MAX_TICKS = 40;
/** In real time. */
const POLL_MS = 100;

/**
 * The old version registers devices. The mixed one starts with its data, and an operator rolls out in two stages; one
 * device is rolled back. Then the system is in idle mode until a new device reports, which gets a rollout.
 * @returns the problems at the end
 */
export async function sideBySide(old: string, mixed: string, log: (line: string) => void): Promise<string[]> {
  const place = await TestEnvironment.make();
  const plan = new FaultPlan();
  try {
    const before = await startTestSystem(old, plan, {}, new GrantRecorder(), place);
    const failing = { bootFails: () => true };
    const devices = Object.fromEntries(DEVICES.map((id) => [id, id === FAILING ? failing : {}]));
    await new Vans(before, MODEL).arrive(devices).finally(() => before.close());
    const system = await startTestSystem(mixed, plan, {}, new GrantRecorder(), place);
    return await play(system, plan, log).finally(() => system.close());
  } finally {
    await place.switchOff();
    await place.remove();
  }
}

async function play(system: TestSystem, plan: FaultPlan, log: (line: string) => void): Promise<string[]> {
  const { api, region, dataApi } = system.runtime.endpoints;
  const client = new ApiClient(
    api.url,
    signedFetch(region, dataApi, () => system.now()),
  );
  const vans = new Vans(system, MODEL);
  await vans.release(TARGET, {}, 200_000);
  const stages = [{ percentage: 50, soak_minutes: 5 }, { percentage: 100 }];
  const common = { firmware_version: TARGET, device_model: MODEL, failure_threshold: 1, max_attempts: 1 };
  const first = await client.createRollout({ ...common, name: 'for all', stages });
  const minutes = await complete(system, client, first.rollout_id);

  for (let looks = 0; looks < 2; looks++) await system.later(2 * AWAKE_MINUTES);
  await vans.arrive({ [LATE]: {} });
  const ids = { device_ids: [LATE] };
  const second = await client.createRollout({
    ...common,
    name: 'for one',
    target_type: 'specific',
    target_filter: ids,
    stages: [],
  });
  const more = await complete(system, client, second.rollout_id);
  log(`the rollouts took ${minutes} and ${more} minutes`);
  return [...(await findUnrecorded(system, client)), ...(await findProblems(system, plan.queued))];
}

/** Waits for the end of a rollout. @returns the number of minutes */
async function complete(system: TestSystem, client: ApiClient, rollout: number): Promise<number> {
  for (let looks = 1; looks <= MAX_TICKS; looks++) {
    await system.later(LOOK_MINUTES);
    await delay(POLL_MS);
    if ((await client.rollout(rollout)).state === 'completed') return looks * LOOK_MINUTES;
  }
  const { items } = await client.updates(rollout);
  throw new Error(`rollout ${rollout} has not ended: ${JSON.stringify(items)}\n${system.log.join('\n')}`);
}

/** Devices whose statuses, reports and updates are not recorded, or not returned by the API. */
async function findUnrecorded({ database }: TestSystem, client: ApiClient): Promise<string[]> {
  const wrong: string[] = [];
  for (const id of [...DEVICES, LATE]) {
    const expected = id === FAILING ? ['1.0.0', 'rolled_back'] : [TARGET, 'success'];
    const [row] = await database.query<{ version: string; status: string; kinds: number }>(
      `SELECT d.current_firmware_version AS version, u.status,
         (SELECT count(DISTINCT event_type)::integer FROM ota_events WHERE device_id = d.device_id AND payload_hash IS NOT NULL) AS kinds
       FROM devices AS d LEFT JOIN device_update_status AS u USING (device_id) WHERE d.device_id = :id`,
      { id },
    );
    const { items } = await client.deviceTimeline(id);
    const isRight = row?.version === expected[0] && row?.status === expected[1] && row?.kinds !== 0 && items.length > 0;
    if (!isRight)
      wrong.push(`${id}: ${JSON.stringify({ ...row, told: items.length })}, expected ${expected.join(', ')}`);
  }
  return wrong;
}
