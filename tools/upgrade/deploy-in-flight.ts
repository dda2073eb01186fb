import { setTimeout as delay } from 'node:timers/promises';
import { buildImage } from '../../fleet/build-image.ts';
import { FaultPlan } from '../../test/support/fault-plan.ts';
import { GrantRecorder } from '../../test/support/grant-recorder.ts';
import { addRollout } from '../../test/support/rows.ts';
import { startTestSystem, TestEnvironment, type TestSystem } from '../../test/support/system.ts';
import { SLOW, Vans } from '../../test/support/vans.ts';
import { findProblems } from './find-problems.ts';

/** State of the update of one device at the deployment, by the name of its model. */
const STATE_AT_DEPLOYMENT = {
  finished: 'success, closed',
  provisional: 'success',
  downloading: 'downloading',
  sent: 'sent',
  // The device has finished, but its reports wait in the queues.
  reported: 'downloading',
  owed: 'pending',
  // The update waits in the dispatch queue.
  queued: 'pending',
  // The upload waits to be registered.
  uploaded: 'none',
} as const;

type Model = keyof typeof STATE_AT_DEPLOYMENT;
const MODELS = Object.keys(STATE_AT_DEPLOYMENT) as Model[];
const TARGET = '1.1.0';
/** Longer than the time until the deployment. */
const HELD_MS = 24 * 3_600_000;
const MAX_TICKS = 100;
/** In real time. */
const POLL_MS = 100;

type Fleet = Record<Model, Vans>;

/**
 * Runs one version until there is a device in every state of an update, closes it, and starts another version with the
 * same home, database, ports and running devices. All updates must end.
 * @returns the problems at the end
 */
export async function deployInFlight(from: string, to: string, log: (line: string) => void): Promise<string[]> {
  const place = await TestEnvironment.make();
  const plan = new FaultPlan();
  try {
    const before = await startTestSystem(from, plan, {}, new GrantRecorder(), place);
    const fleet = Object.fromEntries(MODELS.map((model) => [model, new Vans(before, model)])) as Fleet;
    const links = await arrange(before, fleet, plan).finally(() => before.close());
    const wrong = before.log.map((line) => `the version before said: ${line}`);

    plan.end();
    const after = await startTestSystem(to, plan, {}, new GrantRecorder(), place);
    const migrations = await after.database.query<{ version: number }>('SELECT version FROM schema_migrations');
    log(`caught: ${MODELS.join(', ')}; the schema is ${Math.max(...migrations.map(({ version }) => version))} now`);
    wrong.push(...(await finish(after, fleet, plan, links).finally(() => after.close())));
    return wrong;
  } finally {
    await place.switchOff();
    await place.remove();
  }
}

/** @returns the links that devices receive, now and later @throws Error if a device is not in the expected state */
async function arrange(system: TestSystem, fleet: Fleet, plan: FaultPlan): Promise<string[]> {
  const hold = (...queues: string[]) =>
    plan.deliver((queue) => [queues.some((name) => queue.startsWith(name)) ? HELD_MS : 0]);
  const behaviours = { downloading: SLOW, sent: { ignoresCommands: true } } as Partial<Record<Model, object>>;
  for (const model of MODELS) await fleet[model].arrive({ [model]: behaviours[model] ?? {} });
  const links: string[] = [];
  for (const model of MODELS) {
    fleet[model].device(model).on('state', (event) => event.kind === 'command' && links.push(event.command.url));
  }
  for (const model of MODELS.filter((each) => each !== 'uploaded')) await fleet[model].release(TARGET);
  const start = (...models: Model[]) =>
    Promise.all(models.map((model) => fleet[model].rollOut(model, TARGET, { stages: [] })));

  await start('finished');
  await system.later(0);
  await fleet.finished.update();
  await system.later(6);

  await fleet.owed.device('owed').stop();
  await start('provisional', 'downloading', 'sent', 'owed');
  await system.later(0);
  await fleet.provisional.update();
  hold('IngestStatusQueue', 'IngestOtaQueue');
  await start('reported');
  await system.later(0);
  await until('the device runs its target', () => fleet.reported.device('reported').firmwareVersion === TARGET);
  hold('IngestStatusQueue', 'IngestOtaQueue', 'DispatchQueue', 'RegisterReleaseQueue');
  await start('queued');
  await system.later(0);
  await system.upload(`firmware/${TARGET}/uploaded.bin`, buildImage({ version: TARGET, project: 'uploaded' }));
  await expectStates(system);
  return links;
}

async function expectStates({ database }: TestSystem): Promise<void> {
  const updates = await database.query<{ model: string; state: string }>(
    `SELECT d.device_id AS model, concat(coalesce(u.status, 'none'), CASE WHEN u.completed_at IS NOT NULL THEN ', closed' END) AS state
     FROM devices AS d LEFT JOIN device_update_status AS u USING (device_id)`,
  );
  const caught = Object.fromEntries(updates.map(({ model, state }) => [model, state]));
  const wrong = MODELS.filter((model) => caught[model] !== STATE_AT_DEPLOYMENT[model]);
  if (wrong.length > 0) throw new Error(`caught in another state than expected: ${JSON.stringify(caught)}`);
}

/** Runs ticks and advances the time until all updates have ended. @returns the problems at the end */
async function finish(system: TestSystem, fleet: Fleet, plan: FaultPlan, links: readonly string[]): Promise<string[]> {
  const { database } = system;
  fleet.owed.device('owed').start();
  Object.assign(fleet.sent.device('sent').profile.behaviours, { ignoresCommands: false });
  await system.until(`SELECT 1 FROM firmware_releases WHERE device_model = 'uploaded'`);
  await addRollout(database, 'uploaded', TARGET, { device_model: 'uploaded', stages: [] });
  const unfinished = () =>
    database.query<object>(
      `SELECT d.device_id, current_firmware_version AS version, u.status, u.attempt, u.error_message AS reason
       FROM devices AS d LEFT JOIN device_update_status AS u USING (device_id)
       WHERE u.status IS DISTINCT FROM 'success' OR u.completed_at IS NULL OR current_firmware_version <> '${TARGET}'`,
    );
  for (let looks = 0; (await unfinished()).length > 0 && looks < MAX_TICKS; looks++) {
    await system.later(2);
    await delay(POLL_MS);
  }
  return [
    ...(await unfinished()).map((row) => `not at its end: ${JSON.stringify(row)}`),
    ...links.filter((link, index) => links.indexOf(link) !== index).map((link) => `sent twice: ${link}`),
    ...(await findProblems(system, plan.queued)),
  ];
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let polls = 0; !condition(); polls++) {
    if (polls === 500) throw new Error(`not after ${(500 * POLL_MS) / 1000} s: ${what}`);
    await delay(POLL_MS);
  }
}
