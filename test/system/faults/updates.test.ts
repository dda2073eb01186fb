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
 * Who has to meet the faults of a service, phase by phase: registration, upload, claim and send, download, confirmation.
 * A download may be over before its first reports are handled.
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
const AWAY = refused('ServiceUnavailableError', 503);
const DISK_FULL: Fault = {
  ...refused('BadRequestException', 400),
  message: 'ERROR: could not extend file "base/5/16384": No space left on device; SQLState: 53100',
};
/** One at a time and slowly; failures and attempts are many, and the rollout is not to stop because of them. */
const RULES = {
  stages: [],
  max_in_flight: 1,
  max_per_minute: 1,
  max_attempts: 20,
  failure_threshold: 1,
  // Longer than the trouble: what a device says in an outage that outlasts it comes late, and is a late success.
  boot_timeout_minutes: 720,
};
/** More than any function makes calls, a tick of the orchestrator 24 to 40. */
const MOST_CALLS = 45;
const ALL = ['rds-data', 's3', 'sqs', 'secretsmanager', 'iotdata', 'events'];

/** Each happens to every function from the beginning of every phase of an update. */
const MISHAPS: readonly [string, FaultSequence, readonly string[]][] = [
  ['the database resumes', first(1, refused('DatabaseResumingException', 400)), ['rds-data']],
  [
    'the database is not there, and then its disk is full',
    oneOfEach(...times(4, AWAY), ...times(4, DISK_FULL)),
    ['rds-data'],
  ],
  ['the database commits, and the answer is lost', everyOther({ kind: 'answer-lost' }), ['rds-data']],
  [
    'S3 asks to slow down, fails, and breaks off in the middle of an object',
    oneOfEach({ kind: 'answer-cut' }, SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, refused('InternalError', 500)),
    ['s3'],
  ],
  [
    'AWS IoT throttles, fails, finds nobody and gives up waiting',
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
  ['functions die before each of their calls in turn', killedAtEachCall('before', MOST_CALLS), ALL],
  ['functions die after each of their calls in turn', killedAtEachCall('after', MOST_CALLS), ALL],
];

/** What befalls every service takes a minute each, and the others say what these two do: with PAKU_OTA_LONG=1. */
const SHORT = MISHAPS.filter(
  ([name, , services]) => services !== ALL && !/^the database resumes$|^AWS IoT delivers/.test(name),
);
const played = process.env.PAKU_OTA_LONG === '1' ? MISHAPS : SHORT;

test.each(played)('%s: every device reaches its target, and nothing is lost', async (name, mishap, services) => {
  const model = `m${MISHAPS.findIndex(([other]) => other === name)}`;
  plan.affected.length = 0;
  const inTurn = name.startsWith('functions die');
  const story = new Story(model, () => plan.begin(mishap, services), inTurn ? MOST_CALLS + 3 : TROUBLED_LOOKS);
  await story.tell();
  for (const [phase, affected] of plan.affected.entries()) {
    const expected = services.flatMap((service) => CALLERS[service]?.[phase] ?? []);
    expect([...affected], `phase ${phase}`).toEqual(expect.arrayContaining(expected));
  }
  expect(plan.affected).toHaveLength(5);
  // Whoever dies at each call in turn comes to its end at last, before the trouble is over.
  if (inTurn) expect(story.troubledTicks).toBeGreaterThan(0);
});

test('queues deliver late, twice and in another order, and rules fail to put every other message there: nothing is lost', async () => {
  const late = () => 1_000 * Math.floor(Math.random() * 400);
  const unruly = () => {
    plan.deliver(() => (Math.random() < 0.5 ? [late()] : [late(), late()]));
    plan.breakRules();
  };
  await new Story('twice', unruly).tell();
});

test('a device of which every message takes the way of the error action is registered', async () => {
  plan.breakRules('each');
  const device = await system.device({ deviceId: 'astray-1', model: 'astray' });
  await system.until(`SELECT 1 FROM devices WHERE device_id = 'astray-1' AND current_firmware_version = '1.0.0'`);
  await device.stop();
});

test('every clock jumps, an hour ahead and an hour back: every device reaches its target, and nothing is lost', async () => {
  const jumps = [60, -60, 60, -60, 60];
  await new Story('clocks', () => void system.advance({ minutes: jumps.shift() ?? 0 })).tell();
  expect(jumps).toEqual([]);
});

test('what died is moved back by one command, and lands as if nothing had happened', async () => {
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

/** How often the orchestrator looks in a phase while things go wrong; then all is well until the next phase. */
const TROUBLED_LOOKS = 12;
const MOST_LOOKS = 150;

/** Two devices of one model, one at a time, go to 1.1.0. */
class Story {
  readonly #model: string;
  readonly #begin: () => void;
  readonly #troubledLooks: number;
  #isTroubled = true;
  /** Since the phase began. */
  #looks = 0;
  /** Ticks that came to their end while things went wrong. */
  troubledTicks = 0;
  readonly #links: string[] = [];
  readonly #busy = new Set<string>();
  readonly #seen = new Set<DeviceEvent['kind']>();

  /** @param phase called where a phase of an update begins */
  constructor(model: string, phase: () => void, troubledLooks = TROUBLED_LOOKS) {
    this.#model = model;
    this.#begin = phase;
    this.#troubledLooks = troubledLooks;
  }

  /** In trouble at first, then with nothing but ticks and time. */
  async tell(): Promise<void> {
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
    this.#isTroubled = false;
    plan.end();
    // What died in the last moment is delivered again.
    await this.#until(isOver);
    await this.#judge();
  }

  async #judge(): Promise<void> {
    const updates = await system.database.query(
      `SELECT u.device_id, u.status, d.current_firmware_version AS version
       FROM device_update_status AS u JOIN devices AS d USING (device_id)
       WHERE d.device_model = '${this.#model}' ORDER BY 1`,
    );
    const expected = [1, 2].map((n) => ({ device_id: `${this.#model}-${n}`, status: 'success', version: '1.1.0' }));
    expect(updates).toEqual(expected);
    // Each attempt has a link of its own.
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
      // The first command is before downloads and reports, the first image that is written before confirmations.
      if ((event.kind === 'command' || event.kind === 'installed') && !this.#seen.has(event.kind)) this.#phase();
      this.#seen.add(event.kind);
      if (event.kind === 'connected' || event.kind === 'failed') this.#busy.delete(deviceId);
    });
  }

  #phase(): void {
    this.#looks = 0;
    if (this.#isTroubled) this.#begin();
  }

  /** Lets the orchestrator look every few minutes, and devices do what they are at. */
  async #until(sql: string): Promise<void> {
    for (let n = 0; n < MOST_LOOKS; n++) {
      if (++this.#looks === this.#troubledLooks) plan.end();
      await this.#devicesAtRest();
      await system.advance({ minutes: 7 });
      const ended = await system.runtime.tick().then(
        () => true,
        () => false,
      );
      if (ended && this.#looks < this.#troubledLooks) this.troubledTicks++;
      await system.advance({ seconds: 2 });
      await system.runtime.idle();
      await expectWithinLimits(system);
      const [row] = await system.database.query<{ done: boolean }>(sql);
      if (row?.done) return;
    }
    throw new Error(`not in time: ${sql}`);
  }

  async #devicesAtRest(): Promise<void> {
    for (let polls = 0; this.#busy.size > 0 && polls < 200; polls++) {
      await system.advance({ seconds: 1 });
      await delay(20);
    }
  }
}
