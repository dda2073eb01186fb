import type { SqlRow, SqlValues } from '../../core/db/index.ts';
import { runTick } from '../../core/orchestrator/index.ts';
import { type LinkTarget, parseLinkToken, parseOtaTopic } from '../../core/protocol/index.ts';
import { NO_SIGNATURE_REQUIRED } from '../../core/release-policy/index.ts';
import type { SendOutcome } from '../../core/updates/index.ts';
import { sha256 } from '../../core/util/index.ts';
import { type RandomSource, seededRandom } from '../../fleet/random.ts';
import { commandMaker, type PlannedCommand } from '../../lambdas/dispatch/command-maker.ts';
import { dispatchUpdates } from '../../lambdas/dispatch/dispatch-updates.ts';
import { recordOpened, resolveLink } from '../../lambdas/download/open-link.ts';
import { type FamilyReport, storeReports } from '../../lambdas/ingest-ota/store-reports.ts';
import { type Status, storeStatuses } from '../../lambdas/ingest-status/store-statuses.ts';
import { type TypedDatabase, typed } from '../../test/support/test-sql.ts';
import { openSimDatabase } from './sim-database.ts';
import { type SimAction, SimDevice, type SimDeviceOptions } from './sim-device.ts';

/** Messages of one step are delivered together, with the queues in any order. */
const STEP_SECONDS = 15;
const TICK_SECONDS = 60;
/** Interval of ticks while nothing happens. */
const IDLE_TICK_SECONDS = 600;
/** Devices that never sleep report this often. Their heartbeats are stored by one statement, without the functions. */
const HEARTBEAT_SECONDS = 600;
const SECRET = 'simulated';
const EPOCH = Date.UTC(2026, 0, 5, 8);

/** Faults between the parts of the system. @default none */
export interface Chaos {
  /** Share of messages that are delivered twice. */
  readonly duplicates: number;
  /** Maximum delay between the receive time and the delivery of a message. */
  readonly delaySeconds: number;
  /** Share of statements at which the function crashes, before or after the statement is run. */
  readonly crashes: number;
  /** The faults end after this time. */
  readonly lastsSeconds: number;
  /** The database is away for this time, from this second on. */
  readonly outage?: { readonly from: number; readonly seconds: number } | undefined;
}

/** With `publish`, the broker accepts every command and reports nothing about the device. */
export type Transport = 'direct' | 'publish';

const CALM: Chaos = { duplicates: 0, delaySeconds: 0, crashes: 0, lastsSeconds: 0 };

class Crash extends Error {}

const makeCommands = commandMaker({
  linkSecret: SECRET,
  linkBaseUrl: 'https://x/d/',
  topicPrefix: 'paku',
  defaultFamily: 'devices',
  models: {},
  bucket: 'none',
});

/**
 * Runs the policy and SQL of the service with a simulated fleet, virtual time and a seed. Only devices and transport are
 * simulated.
 */
export class Simulation {
  readonly sql: TypedDatabase;
  readonly devices = new Map<string, SimDevice>();
  readonly close: () => Promise<void>;
  readonly random: RandomSource;
  /** Seconds since the start of the simulation. */
  second = 0;
  sends = 0;
  /** The commands that devices received. */
  readonly commands: {
    readonly second: number;
    readonly id: number;
    readonly attempt: number;
    readonly rolloutId: number;
    readonly deviceId: string;
    readonly family: string;
  }[] = [];
  readonly #chaos: Chaos;
  readonly #transport: Transport;
  readonly #transit = new Map<number, (Status | FamilyReport)[]>();
  readonly #agenda = new Map<number, [string, SimAction][]>();
  #nextTick = 0;
  #dispatchQueue = new Set<number>();

  static async open(seed: number, chaos = CALM, transport: Transport = 'direct'): Promise<Simulation> {
    const { database, close } = await openSimDatabase();
    return new Simulation(database, close, seededRandom(seed), chaos, transport);
  }

  private constructor(
    sql: TypedDatabase,
    close: () => Promise<void>,
    random: RandomSource,
    chaos: Chaos,
    transport: Transport,
  ) {
    this.#chaos = chaos;
    this.#transport = transport;
    this.#calmSql = sql;
    this.sql = typed({ ...sql, query: (statement, values) => this.#query(statement, values) });
    this.close = close;
    this.random = random;
  }

  /** The database without crashes, for observers. */
  get reliableSql(): TypedDatabase {
    return this.#calmSql;
  }

  readonly #calmSql: TypedDatabase;

  async #query(statement: string, values?: SqlValues): Promise<SqlRow[]> {
    if (this.#isOut()) throw new Crash('the database is away');
    if (!this.#happens(this.#chaos.crashes)) return this.#calmSql.query(statement, values);
    if (this.random() < 0.5) await this.#calmSql.query(statement, values);
    throw new Crash(statement.slice(0, 60));
  }

  #isOut(): boolean {
    const { outage } = this.#chaos;
    return outage !== undefined && this.second >= outage.from && this.second < outage.from + outage.seconds;
  }

  #happens(share: number): boolean {
    return share > 0 && this.second > 0 && this.second < this.#chaos.lastsSeconds && this.random() < share;
  }

  /** Runs work that a crash can end at any statement. @returns undefined after a crash */
  async #runUnlessCrashed<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Crash) return undefined;
      throw error;
    }
  }

  get now(): Date {
    return this.#at(this.second);
  }

  /** Adds devices that have reported; `areNew`: once, just now. */
  async addDevices(options: readonly SimDeviceOptions[], areNew = false): Promise<void> {
    const added = options.map((each) => new SimDevice(each, this.random));
    for (const device of added) this.devices.set(device.options.id, device);
    for (let start = 0; start < added.length; start += 500) {
      const batch = added.slice(start, start + 500);
      // Two statuses each, so that the usual interval of each device is known.
      for (const isFirst of areNew ? [false] : [true, false]) {
        const ago = ({ options: { sleep } }: SimDevice) =>
          isFirst ? (sleep ? sleep.awake + sleep.asleep : HEARTBEAT_SECONDS) : 0;
        const statuses = batch.map((device) => this.#status(device, this.second - ago(device)));
        await storeStatuses(this.sql, statuses, this.now);
      }
    }
    for (const device of added) {
      this.#planWake(device);
      if (device.options.offAt !== undefined) this.#plan(device, [[device.options.offAt, { kind: 'off' }]]);
    }
  }

  async addRelease(version: string, minVersion: string | null = null): Promise<void> {
    await this.sql.query(
      `INSERT INTO firmware_releases (version, device_model, object_key, file_size, checksum_sha256, chip, min_version)
       VALUES (:version, 'esp32-s3', 'releases/x.bin', 900000, :checksum, 'ESP32-S3', :minVersion)`,
      { version, checksum: sha256(version), minVersion },
    );
  }

  /** Runs until the condition is true; it is checked every simulated minute. @returns false after the limit */
  async runUntil(condition: () => Promise<boolean>, limitSeconds: number): Promise<boolean> {
    const end = this.second + limitSeconds;
    for (; this.second < end; this.second += STEP_SECONDS) {
      await this.step();
      if (this.second % TICK_SECONDS === 0 && (await condition())) return true;
    }
    return false;
  }

  /** One step: delivers messages of devices, sends pending updates, and runs the orchestrator when it is due. */
  async step(): Promise<void> {
    const due = this.#agenda.get(this.second) ?? [];
    this.#agenda.delete(this.second);
    const wasBusy = await this.#deliver(due);
    if (this.second % HEARTBEAT_SECONDS === 0) await this.#storeHeartbeats();
    await this.#dispatch();
    if (this.second < this.#nextTick || this.second % TICK_SECONDS !== 0) {
      if (wasBusy) this.#nextTick = Math.min(this.#nextTick, this.second);
      return;
    }
    const tick = await this.#runUnlessCrashed(async () => {
      const done = await runTick(this.sql, this.now, async (ids) => {
        for (const id of ids) this.#dispatchQueue.add(id);
      });
      if (done.problems[0] !== undefined) throw done.problems[0].error;
      return done;
    });
    const sent = await this.#dispatch();
    const { expired, rollouts } = tick ?? { expired: 1, rollouts: [] };
    const isIdle = !wasBusy && expired + sent + rollouts.reduce((sum, { assigned }) => sum + assigned, 0) === 0;
    this.#nextTick = this.second + (isIdle && this.#isQuiet() ? IDLE_TICK_SECONDS : TICK_SECONDS);
  }

  /** Heartbeats of devices that are on and have nothing else to report. */
  async #storeHeartbeats(): Promise<void> {
    const devices = [...this.devices.values()]
      .filter(({ options, isOff }) => options.sleep === undefined && !isOff)
      .map(({ options }) => options.id);
    await this.#calmSql.query(
      `UPDATE devices SET last_seen = greatest(last_seen, :now::timestamptz)
       WHERE device_id IN (SELECT jsonb_array_elements_text(:devices::jsonb))`,
      { devices, now: this.now },
    );
  }

  /** True if nothing but statuses happens before the next idle tick. */
  #isQuiet(): boolean {
    const until = this.second + IDLE_TICK_SECONDS;
    return [...this.#agenda].every(
      ([second, actions]) => second > until || actions.every(([, { kind }]) => kind === 'status'),
    );
  }

  async #deliver(due: readonly [string, SimAction][]): Promise<boolean> {
    const statuses: Status[] = [];
    const reports: FamilyReport[] = [];
    const fetches: [SimDevice, SimAction & { kind: 'fetch' }][] = [];
    let isBusy = false;
    for (const [id, action] of due) {
      const device = this.devices.get(id) as SimDevice;
      if (device.isOff) continue;
      if (action.kind === 'status') {
        if (device.isAwake(this.second) && !device.isLost()) statuses.push(this.#status(device, this.second));
        this.#planWake(device);
        continue;
      }
      isBusy = true;
      if (action.kind === 'off') device.isOff = true;
      else if (action.kind === 'fetch') fetches.push([device, action]);
      else if (action.kind === 'boot') {
        device.version = action.version;
        device.bootedAt = this.second;
        if (!device.isLost()) statuses.push(this.#status(device, this.second));
      } else if (!device.isLost()) reports.push(this.#report(device, action));
    }
    await this.#openLinks(fetches);
    for (const message of [...statuses, ...reports]) this.#send(message);
    const arrived = this.#transit.get(this.second) ?? [];
    this.#transit.delete(this.second);
    const queues = [arrived.filter(isStatus), arrived.filter((message) => !isStatus(message))];
    if (this.random() < 0.5) queues.reverse();
    for (const queue of queues) {
      if ((await this.#runUnlessCrashed(() => this.#store(queue))) === undefined) this.#redeliver(queue);
    }
    return isBusy;
  }

  /** Puts a message on a queue, which delivers it at least once, later and in any order. */
  #send(message: Status | FamilyReport): void {
    const late = () => (this.#happens(1) ? Math.floor((this.random() * this.#chaos.delaySeconds) / STEP_SECONDS) : 0);
    const copies = this.#happens(this.#chaos.duplicates) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#enqueueAt(message, this.second + late() * STEP_SECONDS);
  }

  #redeliver(messages: readonly (Status | FamilyReport)[]): void {
    for (const message of messages) this.#enqueueAt(message, this.second + STEP_SECONDS);
  }

  #enqueueAt(message: Status | FamilyReport, second: number): void {
    this.#transit.set(second, [...(this.#transit.get(second) ?? []), message]);
  }

  async #store(messages: readonly (Status | FamilyReport)[]): Promise<true> {
    const statuses = messages.filter(isStatus);
    if (statuses.length > 0) {
      const { pending } = await storeStatuses(this.sql, statuses, this.now);
      for (const id of pending) this.#dispatchQueue.add(id);
    }
    const reports = messages.filter((message): message is FamilyReport => !isStatus(message));
    if (reports.length > 0) await storeReports(this.sql, reports);
    return true;
  }

  /** Opens links like the download function, but many at once. */
  async #openLinks(fetches: readonly [SimDevice, SimAction & { kind: 'fetch' }][]): Promise<void> {
    const opened: (LinkTarget & { deviceId: string })[] = [];
    for (const [device, { token, version, attempt }] of fetches) {
      const target = parseLinkToken(token, SECRET);
      const link =
        target === undefined
          ? undefined
          : await this.#runUnlessCrashed(() => resolveLink(this.sql, target, this.now, NO_SIGNATURE_REQUIRED));
      const isOpen = link?.kind === 'open';
      if (target !== undefined && isOpen) opened.push({ ...target, deviceId: device.options.id });
      this.#plan(device, device.onDownload(this.second, isOpen, version, attempt));
    }
    await this.#runUnlessCrashed(() => recordOpened(this.sql, opened, this.now));
  }

  async #dispatch(): Promise<number> {
    const ids = [...this.#dispatchQueue];
    this.#dispatchQueue = new Set();
    let sent = 0;
    for (let start = 0; start < ids.length; start += 100) {
      const batch = ids.slice(start, start + 100);
      const outcomes = await this.#runUnlessCrashed(() =>
        dispatchUpdates(this.sql, batch, this.now, NO_SIGNATURE_REQUIRED, makeCommands, this.#command),
      );
      sent += outcomes?.length ?? 1;
    }
    return sent;
  }

  #command = async (command: PlannedCommand, attempt: number, now: Date): Promise<SendOutcome> => {
    const { id } = command;
    const device = this.devices.get(command.clientId) as SimDevice;
    const unconfirmed = { id, attempt, outcome: 'unconfirmed', message: null, retryAt: null } as const;
    if (this.#transport === 'direct' && !device.appearsConnected(this.second)) {
      const retryAt = new Date(now.getTime() + 3_600_000);
      return { id, attempt, outcome: 'absent', message: 'the device is not connected', retryAt };
    }
    if (!device.isAwake(this.second)) return unconfirmed;
    this.sends++;
    const { rolloutId, clientId: deviceId } = command;
    const family = parseOtaTopic(command.topic.replace('/cmd/ota', '/ota/status'))?.family ?? 'devices';
    this.commands.push({ second: this.second, id, attempt, rolloutId, deviceId, family });
    const { url, version } = JSON.parse(command.payload) as { url: string; version: string };
    const token = url.slice(url.lastIndexOf('/') + 1);
    this.#plan(device, device.onCommand(this.second, { family, token, version }));
    return { ...unconfirmed, outcome: this.#transport === 'publish' ? 'published' : 'acknowledged' };
  };

  #plan(device: SimDevice, actions: readonly [number, SimAction][]): void {
    for (const [second, action] of actions) {
      const step = Math.max(Math.ceil(second / STEP_SECONDS) * STEP_SECONDS, this.second + STEP_SECONDS);
      const planned = this.#agenda.get(step);
      if (planned === undefined) this.#agenda.set(step, [[device.options.id, action]]);
      else planned.push([device.options.id, action]);
    }
  }

  /** A sleeping device reports each time it wakes. Heartbeats of other devices are redundant and not simulated. */
  #planWake(device: SimDevice): void {
    const wake = device.nextWake(this.second);
    if (wake !== undefined) this.#plan(device, [[wake + 1, { kind: 'status' }]]);
  }

  #status(device: SimDevice, second: number): Status {
    const { id } = device.options;
    const receivedAt = this.#at(second);
    return {
      receivedAt,
      payloadHash: sha256(`${id} ${second} status`),
      report: {
        deviceId: id,
        clientId: id,
        macAddress: null,
        macReceivedAt: null,
        model: 'esp32-s3',
        modelReceivedAt: receivedAt,
        version: device.version,
        versionReceivedAt: receivedAt,
        online: true,
        reachabilityReceivedAt: receivedAt,
        lastSeen: receivedAt,
        uptimeSeconds: device.options.hasUptime ? second - device.bootedAt : null,
        signalStrengthDbm: -60,
        status: {},
      },
    };
  }

  #report(device: SimDevice, action: SimAction & { kind: 'accepted' | 'progress' | 'result' }): FamilyReport {
    const { id, family } = device.options;
    const said = {
      accepted: { payload: { status: 'accepted' }, state: null },
      progress: { payload: { percent: 50 }, state: 'downloading' as const },
      result: {
        payload:
          'code' in action
            ? { success: action.code === 0, resultCode: action.code, message: `code ${action.code}` }
            : {},
        state: null,
      },
    }[action.kind];
    return {
      family: family === 'both' ? 'edge' : family,
      clientId: id,
      report: {
        deviceId: id,
        type: action.kind,
        receivedAt: this.now,
        payloadHash: sha256(`${id} ${this.second} ${action.kind}`),
        version: 'version' in action ? action.version : null,
        ...said,
      },
    };
  }

  #at(second: number): Date {
    return new Date(EPOCH + second * 1000);
  }
}

const isStatus = (message: Status | FamilyReport): message is Status => 'receivedAt' in message;
