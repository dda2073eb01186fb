import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { buildImage } from '../../../fleet/build-image.ts';
import type { VirtualDevice } from '../../../fleet/virtual-device.ts';
import type { Fault } from '../../../local/faults.ts';
import { ASSEMBLY } from '../../support/assembly.ts';
import { everyOther, FaultPlan, first, killedInTurn, type Mishap } from '../../support/fault-plan.ts';
import { expectNothingLost, expectWithinLimits } from '../../support/outcome.ts';
import { addRollout } from '../../support/rows.ts';
import { startTestSystem, type TestSystem } from '../../support/system.ts';

vi.setConfig({ testTimeout: 120_000 });

const plan = new FaultPlan();
let system: TestSystem;
beforeAll(async () => {
  system = await startTestSystem(ASSEMBLY, plan);
});
afterEach(() => plan.end());
afterAll(() => system?.close());

const refused = (code: string, status: number): Fault => ({ kind: 'refused', code, status });
const ALL = ['rds-data', 's3', 'sqs', 'secretsmanager', 'iotdata', 'events'];

/** Each happens to every function from the beginning of every phase of an update. */
const MISHAPS: readonly [string, Mishap, readonly string[]][] = [
  ['the database resumes', first(2, refused('DatabaseResumingException', 400)), ['rds-data']],
  ['the database is not there', first(8, refused('ServiceUnavailableError', 503)), ['rds-data']],
  ['the database throttles', first(8, refused('ThrottlingException', 400)), ['rds-data']],
  ['the database commits, and the answer is lost', everyOther({ kind: 'answer-lost' }), ['rds-data']],
  ['the database is slow', everyOther({ kind: 'slow', ms: 100 }), ['rds-data']],
  ['S3 asks to slow down', first(8, refused('SlowDown', 503)), ['s3']],
  ['S3 breaks off in the middle of an object', first(2, { kind: 'answer-cut' }), ['s3']],
  ['AWS IoT throttles', first(2, refused('ThrottlingException', 429)), ['iotdata']],
  ['AWS IoT fails', first(2, refused('InternalFailureException', 500)), ['iotdata']],
  ['AWS IoT says that devices are not connected', first(2, refused('ResourceNotFoundException', 404)), ['iotdata']],
  ['AWS IoT delivers, and its answer is lost', everyOther({ kind: 'answer-lost' }), ['iotdata']],
  ['every connection breaks', everyOther({ kind: 'reset' }), ALL],
  ['every other answer is lost', everyOther({ kind: 'answer-lost' }), ALL],
  ['functions die before each of their calls in turn', killedInTurn('before'), ALL],
  ['functions die after each of their calls in turn', killedInTurn('after'), ALL],
];

test.each(MISHAPS)('%s: every device reaches its target, and nothing is lost', async (name, mishap, services) => {
  const story = new Story(`m${MISHAPS.findIndex(([other]) => other === name)}`, () => plan.begin(mishap, services));
  await story.tell();
  plan.end();
  await story.settle();
  expect(plan.met.size).toBeGreaterThan(0);
});

/** Three devices of one model, two at a time, go to 1.1.0. */
class Story {
  readonly #model: string;
  readonly #phase: () => void;
  readonly #devices: VirtualDevice[] = [];
  readonly #links: string[] = [];
  readonly #busy = new Set<string>();

  /** @param phase called where a phase of an update begins */
  constructor(model: string, phase: () => void) {
    this.#model = model;
    this.#phase = phase;
  }

  async tell(): Promise<void> {
    const model = this.#model;
    this.#phase();
    for (const n of [1, 2, 3]) await this.#arrive(`${model}-${n}`);
    await this.#until(`SELECT count(*) = 3 AS done FROM devices WHERE device_model = '${model}'`);
    this.#phase();
    await system.upload(`firmware/1.1.0/${model}.bin`, buildImage({ version: '1.1.0', project: model }));
    await this.#until(`SELECT count(*) = 1 AS done FROM firmware_releases WHERE device_model = '${model}'`);
    this.#phase();
    await addRollout(system.database, model, '1.1.0', {
      device_model: model,
      stages: [],
      max_in_flight: 2,
      max_per_minute: 2,
    });
  }

  /** With nothing but ticks and time. */
  async settle(): Promise<void> {
    await this.#until(
      `SELECT count(*) = 3 AS done FROM device_update_status AS u JOIN rollout_configurations AS r ON r.id = u.rollout_id
       WHERE r.name = '${this.#model}' AND u.closed_at IS NOT NULL`,
    );
    const updates = await system.database.query(
      `SELECT u.device_id, u.status, d.current_firmware_version AS version
       FROM device_update_status AS u JOIN devices AS d USING (device_id)
       WHERE d.device_model = '${this.#model}' ORDER BY 1`,
    );
    const expected = [1, 2, 3].map((n) => ({ device_id: `${this.#model}-${n}`, status: 'success', version: '1.1.0' }));
    expect(updates).toEqual(expected);
    expect(this.#links).toEqual([...new Set(this.#links)]);
    await expectNothingLost(system, plan.taken);
  }

  async #arrive(deviceId: string): Promise<void> {
    const quiet = { heartbeatSeconds: 24 * 3600, keepaliveSeconds: 60, behaviours: { slowRebootSeconds: 0.2 } };
    const device = await system.device({ deviceId, model: this.#model, ...quiet });
    device.on('state', (event) => {
      if (event.kind === 'command') {
        this.#links.push(event.command.url);
        this.#busy.add(deviceId);
        this.#phase();
      }
      if (event.kind === 'written') this.#phase();
      if (event.kind === 'connected' || event.kind === 'failed') this.#busy.delete(deviceId);
    });
    this.#devices.push(device);
  }

  /** Lets the orchestrator look every few minutes, and devices do what they are at. */
  async #until(sql: string): Promise<void> {
    for (let looks = 0; looks < 60; looks++) {
      await this.#devicesAtRest();
      await system.advance({ minutes: 7 });
      await system.runtime.tick().catch(() => {});
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
