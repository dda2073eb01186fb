import { setTimeout as delay } from 'node:timers/promises';
import { buildImage } from '../../fleet/build-image.ts';
import { FaultPlan } from '../../test/support/fault-plan.ts';
import { GrantBook } from '../../test/support/grant-book.ts';
import { addRollout } from '../../test/support/rows.ts';
import { Place, startTestSystem, type TestSystem } from '../../test/support/system.ts';
import { SLOW, Vans } from '../../test/support/vans.ts';
import { findWrong } from './judge.ts';

/** One device each, of a model of that name, and where its update is when the deployment comes. */
const CAUGHT = {
  finished: 'success, closed',
  provisional: 'success',
  downloading: 'downloading',
  sent: 'sent',
  // It has done all of it; what it said of it waits in the queues.
  reported: 'downloading',
  owed: 'pending',
  // Its claim waits in the dispatch queue.
  queued: 'pending',
  // Its image was uploaded, and waits to be registered.
  uploaded: 'none',
} as const;

type Model = keyof typeof CAUGHT;
const MODELS = Object.keys(CAUGHT) as Model[];
const TARGET = '1.1.0';
/** Longer than the story lasts until the deployment. */
const HELD_MS = 24 * 3_600_000;
const MOST_LOOKS = 100;
/** In real time, between two looks. */
const DEVICES_WORK_MS = 100;

type Fleet = Record<Model, Vans>;

/**
 * The version before runs, with a device in every state that an update can be in; it is closed, and the next one started on
 * what it left: home, database, ports, and devices that were never switched off. All must come to their end.
 * @returns what is wrong at the end; nothing, as it should be
 */
export async function deployInFlight(from: string, to: string, say: (line: string) => void): Promise<string[]> {
  const place = await Place.make();
  const plan = new FaultPlan();
  try {
    const before = await startTestSystem(from, plan, {}, new GrantBook(), place);
    const fleet = Object.fromEntries(MODELS.map((model) => [model, new Vans(before, model)])) as Fleet;
    const links = await arrange(before, fleet, plan).finally(() => before.close());
    const wrong = before.log.map((line) => `the version before said: ${line}`);

    plan.end();
    const after = await startTestSystem(to, plan, {}, new GrantBook(), place);
    const migrations = await after.database.query<{ version: number }>('SELECT version FROM schema_migrations');
    say(`caught: ${MODELS.join(', ')}; the schema is ${Math.max(...migrations.map(({ version }) => version))} now`);
    wrong.push(...(await finish(after, fleet, plan, links).finally(() => after.close())));
    return wrong;
  } finally {
    await place.switchOff();
    await place.remove();
  }
}

/** @returns the links that devices are told, then and later @throws Error when a device is not where it should be */
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
  await expectCaught(system);
  return links;
}

async function expectCaught({ database }: TestSystem): Promise<void> {
  const updates = await database.query<{ model: string; state: string }>(
    `SELECT d.device_id AS model, concat(coalesce(u.status, 'none'), CASE WHEN u.completed_at IS NOT NULL THEN ', closed' END) AS state
     FROM devices AS d LEFT JOIN device_update_status AS u USING (device_id)`,
  );
  const caught = Object.fromEntries(updates.map(({ model, state }) => [model, state]));
  const wrong = MODELS.filter((model) => caught[model] !== CAUGHT[model]);
  if (wrong.length > 0) throw new Error(`caught in another state than expected: ${JSON.stringify(caught)}`);
}

/** Nothing but ticks, time and devices that do as they do. @returns what is wrong in the end */
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
  for (let looks = 0; (await unfinished()).length > 0 && looks < MOST_LOOKS; looks++) {
    await system.later(2);
    await delay(DEVICES_WORK_MS);
  }
  return [
    ...(await unfinished()).map((row) => `not at its end: ${JSON.stringify(row)}`),
    ...links.filter((link, index) => links.indexOf(link) !== index).map((link) => `sent twice: ${link}`),
    ...(await findWrong(system, plan.taken)),
  ];
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let polls = 0; !condition(); polls++) {
    if (polls === 500) throw new Error(`not after ${(500 * DEVICES_WORK_MS) / 1000} s: ${what}`);
    await delay(DEVICES_WORK_MS);
  }
}
