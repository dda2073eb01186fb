import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { ApiClient } from '../../../api/client.ts';
import { signedFetch } from '../../../api/signed-fetch.ts';
import { buildImage } from '../../../fleet/build-image.ts';
import type { DeviceEvent } from '../../../fleet/device-events.ts';
import { ASSEMBLY } from '../../support/assembly.ts';
import {
  everyOther,
  FaultPlan,
  type FaultSequence,
  first,
  killedAtEachCall,
  oneOfEach,
} from '../../support/fault-plan.ts';
import type { Fault } from '../../support/faults.ts';
import { expectNothingLost, expectWithinLimits } from '../../support/outcome.ts';
import { addRollout } from '../../support/rows.ts';
import { startTestSystem, type TestSystem } from '../../support/system.ts';

vi.setConfig({ testTimeout: 300_000 });

const plan = new FaultPlan();
let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem(ASSEMBLY, plan);
});
afterEach(() => plan.end());
afterAll(() => system?.close());

const times = (count: number, fault: Fault): Fault[] => Array.from({ length: count }, () => fault);
const refused = (code: string, status: number) => ({ kind: 'refused', code, status }) as const;
/**
 * Functions that must be affected by faults of a service, by phase: registration, upload, assignment and sending,
 * download, probation. A download may end before its first reports are handled.
 */
const CALLERS: Record<string, readonly (readonly string[])[]> = {
  'rds-data': [
    ['IngestStatus'],
    ['RegisterRelease'],
    ['Orchestrate', 'Dispatch'],
    ['Download'],
    ['IngestOta', 'IngestStatus'],
  ],
  s3: [[], ['RegisterRelease'], [], ['Download'], []],
  iotdata: [[], [], ['Dispatch'], [], []],
};
const SLOW_DOWN = refused('SlowDown', 503);
const UNAVAILABLE = refused('ServiceUnavailableError', 503);
const DISK_FULL: Fault = {
  ...refused('BadRequestException', 400),
  message: 'ERROR: could not extend file "base/5/16384": No space left on device; SQLState: 53100',
};
/** One update at a time. Failures do not halt the rollout, and there are enough attempts. */
const RULES = {
  stages: [],
  max_in_flight: 1,
  max_per_minute: 1,
  max_attempts: 20,
  failure_threshold: 1,
  // Longer than the faults: reports that are delayed beyond this deadline would make a late success.
  boot_timeout_minutes: 720,
};
/** More than the calls of any function; a tick of the orchestrator makes 29 to 45. */
const MAX_CALLS = 50;
const ALL = ['rds-data', 's3', 'sqs', 'secretsmanager', 'iotdata', 'events'];

/** Each sequence starts for every function at the beginning of every phase of an update. */
const FAULT_SCENARIOS: readonly [string, FaultSequence, readonly string[]][] = [
  ['the database resumes', first(1, refused('DatabaseResumingException', 400)), ['rds-data']],
  [
    'the database is unavailable, and then its disk is full',
    oneOfEach(...times(4, UNAVAILABLE), ...times(4, DISK_FULL)),
    ['rds-data'],
  ],
  ['the database commits, and the answer is lost', everyOther({ kind: 'answer-lost' }), ['rds-data']],
  [
    'S3 throttles, fails, and breaks the connection in the middle of an object',
    oneOfEach({ kind: 'answer-cut' }, SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, refused('InternalError', 500)),
    ['s3'],
  ],
  [
    'AWS IoT throttles, fails, and reports disconnected and silent devices',
    oneOfEach(
      refused('ThrottlingException', 429),
      refused('InternalFailureException', 500),
      refused('ResourceNotFoundException', 404),
      refused('GatewayTimeoutException', 504),
    ),
    ['iotdata'],
  ],
  ['AWS IoT delivers, and its answer is lost', first(4, { kind: 'answer-lost' }), ['iotdata']],
  ['every other connection breaks', everyOther({ kind: 'reset' }), ALL],
  ['functions are killed before each of their calls in turn', killedAtEachCall('before', MAX_CALLS), ALL],
  ['functions are killed after each of their calls in turn', killedAtEachCall('after', MAX_CALLS), ALL],
];

/** Without scenarios that affect every service, which take a minute each, and two that others cover (PAKU_OTA_LONG=1). */
const SHORT = FAULT_SCENARIOS.filter(
  ([name, , services]) => services !== ALL && !/^the database resumes$|^AWS IoT delivers/.test(name),
);
const played = process.env.PAKU_OTA_LONG === '1' ? FAULT_SCENARIOS : SHORT;

test.each(played)('%s: every device reaches its target, and nothing is lost', async (name, sequence, services) => {
  const model = `m${FAULT_SCENARIOS.findIndex(([other]) => other === name)}`;
  plan.affected.length = 0;
  const inTurn = name.startsWith('functions are killed');
  const story = new Story(model, () => plan.begin(sequence, services), inTurn ? MAX_CALLS + 3 : FAULTY_TICKS);
  await story.play();
  for (const [phase, affected] of plan.affected.entries()) {
    const expected = services.flatMap((service) => CALLERS[service]?.[phase] ?? []);
    expect([...affected], `phase ${phase}`).toEqual(expect.arrayContaining(expected));
  }
  expect(plan.affected).toHaveLength(5);
  // A function that is killed at each of its calls finally completes before the faults end.
  if (inTurn) expect(story.ticksDuringFaults).toBeGreaterThan(0);
});

test('nothing is lost if queues deliver late, twice and in any order, and rule actions fail for every other message', async () => {
  const late = () => 1_000 * Math.floor(Math.random() * 400);
  const deliverInDisorder = () => {
    plan.deliver(() => (Math.random() < 0.5 ? [late()] : [late(), late()]));
    plan.breakRules();
  };
  await new Story('twice', deliverInDisorder).play();
});

test('a device is registered if the rule actions of all its messages fail', async () => {
  plan.breakRules('each');
  const device = await system.device({ deviceId: 'astray-1', model: 'astray' });
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'astray-1' AND current_firmware_version = '1.0.0'`);
  await device.stop();
});

test('every device reaches its target and nothing is lost if every clock jumps an hour forward and back', async () => {
  const jumps = [60, -60, 60, -60, 60];
  await new Story('clocks', () => void system.advance({ minutes: jumps.shift() ?? 0 })).play();
  expect(jumps).toEqual([]);
});

test('redriven dead letters are handled as if they had been delivered the first time', async () => {
  plan.begin(first(Number.POSITIVE_INFINITY, refused('AccessDeniedException', 403)), ['rds-data']);
  const bootedAt = system.now();
  const device = await system.device({ deviceId: 'late-1', model: 'late', heartbeatSeconds: 24 * 3600 });
  await new Promise<void>((resolve) => {
    device.on('state', ({ kind }) => kind === 'connected' && resolve());
  });
  await device.stop();
  const { api, region, s3: keys } = system.runtime.endpoints;
  const client = new ApiClient(api.url, signedFetch(region, keys, system.now));
  const dead = async () => (await client.deadLetters()).items.find(({ queue }) => queue === 'status')?.messages ?? 0;
  while ((await dead()) === 0) await system.advance({ minutes: 7 });
  plan.end();
  await client.redriveDeadLetters('status');
  const { registered_at: registeredAt } = await system.until<{ registered_at: Date }>(
    `SELECT registered_at FROM devices WHERE device_id = 'late-1' AND current_firmware_version = '1.0.0'`,
  );
  expect(registeredAt.getTime() - bootedAt.getTime()).toBeLessThan(10_000);
  expect(await dead()).toBe(0);
  expect(await system.database.query('SELECT * FROM rejected_messages')).toEqual([]);
});

/** Ticks with faults in each phase. The faults then end until the next phase. */
const FAULTY_TICKS = 12;
const MAX_TICKS = 150;

/** Updates two devices of one model to 1.1.0, one at a time. */
class Story {
  readonly #model: string;
  readonly #begin: () => void;
  readonly #faultyTicks: number;
  #isFaulty = true;
  /** Ticks since the start of the phase. */
  #ticks = 0;
  /** Ticks that completed during faults. */
  ticksDuringFaults = 0;
  readonly #links: string[] = [];
  readonly #busy = new Set<string>();
  readonly #seen = new Set<DeviceEvent['kind']>();

  /** @param phase called at the start of each phase of an update */
  constructor(model: string, phase: () => void, faultyTicks = FAULTY_TICKS) {
    this.#model = model;
    this.#begin = phase;
    this.#faultyTicks = faultyTicks;
  }

  /** Plays the story, with faults in each phase, and checks its end. */
  async play(): Promise<void> {
    const model = this.#model;
    this.#phase();
    for (const n of [1, 2]) await this.#arrive(`${model}-${n}`);
    await this.#until(`SELECT count(*) = 2 AS done FROM devices WHERE device_model = '${model}'`);
    this.#phase();
    await system.upload(`firmware/1.1.0/${model}.bin`, buildImage({ version: '1.1.0', project: model }));
    await this.#until(`SELECT count(*) = 1 AS done FROM firmware_releases WHERE device_model = '${model}'`);
    this.#phase();
    await addRollout(system.database, model, '1.1.0', { device_model: model, ...RULES });
    const isOver = `SELECT count(*) = 2 AS done FROM device_update_status AS u JOIN rollout_configurations AS r
      ON r.id = u.rollout_id WHERE r.name = '${model}' AND u.completed_at IS NOT NULL`;
    await this.#until(isOver);
    this.#isFaulty = false;
    plan.end();
    // Messages of functions that were killed at the end are delivered again. A device that was silent until its deadline,
    // because this machine was slow, has a provisional verdict, which its next statuses replace.
    await this.#until(`${isOver} AND u.status = 'success'`);
    await this.#expectSuccess();
  }

  async #expectSuccess(): Promise<void> {
    const updates = await system.database.query(
      `SELECT u.device_id, u.status, d.current_firmware_version AS version
       FROM device_update_status AS u JOIN devices AS d USING (device_id)
       WHERE d.device_model = '${this.#model}' ORDER BY 1`,
    );
    const expected = [1, 2].map((n) => ({ device_id: `${this.#model}-${n}`, status: 'success', version: '1.1.0' }));
    expect(updates).toEqual(expected);
    // Each attempt has a different link.
    expect(this.#links).toEqual([...new Set(this.#links)]);
    await expectNothingLost(system, plan.queued);
  }

  async #arrive(deviceId: string): Promise<void> {
    const quiet = { heartbeatSeconds: 1_800, keepaliveSeconds: 60, behaviours: { slowRebootSeconds: 0.2 } };
    const device = await system.device({ deviceId, model: this.#model, ...quiet });
    device.on('state', (event) => {
      if (event.kind === 'command') {
        this.#links.push(event.command.url);
        this.#busy.add(deviceId);
      }
      // The download phase begins with the first command, and the probation phase with the first installed image.
      if ((event.kind === 'command' || event.kind === 'installed') && !this.#seen.has(event.kind)) this.#phase();
      this.#seen.add(event.kind);
      if (event.kind === 'connected' || event.kind === 'failed') this.#busy.delete(deviceId);
    });
  }

  #phase(): void {
    this.#ticks = 0;
    if (this.#isFaulty) this.#begin();
  }

  /** Runs the orchestrator every few minutes until the query returns true. Devices finish their work between ticks. */
  async #until(sql: string): Promise<void> {
    for (let n = 0; n < MAX_TICKS; n++) {
      if (++this.#ticks === this.#faultyTicks) plan.end();
      await this.#devicesAtRest();
      await system.advance({ minutes: 7 });
      const ended = await system.runtime.tick().then(
        () => true,
        () => false,
      );
      if (ended && this.#ticks < this.#faultyTicks) this.ticksDuringFaults++;
      await system.advance({ seconds: 2 });
      await system.runtime.idle();
      await expectWithinLimits(system);
      const [row] = await system.database.query<{ done: boolean }>(sql);
      if (row?.done) return;
    }
    const updates = await system.database.query(
      `SELECT device_id, status, cause, error_message, late_success_at FROM device_update_status
       WHERE device_id LIKE '${this.#model}-%' ORDER BY id`,
    );
    throw new Error(`not in time: ${sql}\n${JSON.stringify(updates, null, 2)}`);
  }

  async #devicesAtRest(): Promise<void> {
    for (let polls = 0; this.#busy.size > 0 && polls < 200; polls++) {
      await system.advance({ seconds: 1 });
      await delay(20);
    }
  }
}
