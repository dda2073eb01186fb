import type { DatabaseRole, Sql } from '../../core/db/index.ts';
import { runTick } from '../../core/orchestrator/index.ts';
import type { ReportedState } from '../../core/policy/index.ts';
import { type CommandFamily, type FactValue, type LinkTarget, parseLinkToken } from '../../core/protocol/index.ts';
import { NO_SIGNATURE_REQUIRED, type TrustRule } from '../../core/release-policy/index.ts';
import type { Report, SendOutcome } from '../../core/updates/index.ts';
import { sha256 } from '../../core/util/index.ts';
import { commandMaker, type PlannedCommand } from '../../lambdas/dispatch/command-maker.ts';
import { dispatchUpdates } from '../../lambdas/dispatch/dispatch-updates.ts';
import { type OpenedLink, openLink } from '../../lambdas/download/open-link.ts';
import { storeReports } from '../../lambdas/ingest-ota/store-reports.ts';
import { storeStatuses } from '../../lambdas/ingest-status/store-statuses.ts';

const SECRET = 'a-secret';
const makeCommands = commandMaker({
  linkSecret: SECRET,
  linkBaseUrl: 'https://links.example/d/',
  topicPrefix: 'paku',
  defaultFamily: 'devices',
  models: {},
  bucket: 'none',
});

export interface SentCommand {
  readonly deviceId: string;
  readonly version: string;
  readonly family: string;
  readonly link: LinkTarget;
}

/** As in lambdas/dispatch/send-command.ts. */
const RETRY_MINUTES: Readonly<Record<string, number>> = { throttled: 1, denied: 10 };

/** The work of the functions on a database. The test advances the clock and sends the messages of devices. */
export class TestService {
  sql: Sql;
  readonly #roles: Readonly<Record<DatabaseRole, Sql>> | undefined;
  now = new Date('2026-03-02T12:00:00Z');
  /** Every command that was sent, oldest first. */
  readonly sent: SentCommand[] = [];
  /** Devices that are not connected. */
  readonly absent = new Set<string>();
  /** Outcomes of sending for devices whose commands do not arrive. */
  readonly fates = new Map<string, 'unconfirmed' | 'published' | 'throttled' | 'denied' | 'refused'>();
  trust: TrustRule = NO_SIGNATURE_REQUIRED;
  /** True if nothing runs that a second person has not approved. */
  requireApproval = false;
  /** Number of commands that were sent, including those that did not arrive. */
  sends = 0;

  /** @param roles the database as each function has it. @default all that the test may do itself */
  constructor(sql: Sql, roles?: Readonly<Record<DatabaseRole, Sql>>) {
    this.sql = sql;
    this.#roles = roles;
  }

  #as(role: DatabaseRole): Sql {
    return this.#roles?.[role] ?? this.sql;
  }

  later(minutes: number): void {
    this.now = new Date(this.now.getTime() + minutes * 60_000);
  }

  /** Runs the orchestrator and sends the updates that it queues. @returns the devices that got a command */
  async tick(): Promise<string[]> {
    const before = this.sent.length;
    const { trust, requireApproval } = this;
    const rules = { trust, requireApproval };
    const { problems } = await runTick(this.#as('control'), this.now, (ids) => this.#dispatch(ids), rules);
    if (problems[0] !== undefined) throw problems[0].error;
    return this.sent.slice(before).map(({ deviceId }) => deviceId);
  }

  /** Handles a status of a device, and sends its pending update. */
  status(
    deviceId: string,
    version: string,
    uptimeSeconds: number | null = 30,
    facts: Readonly<Record<string, FactValue>> = {},
  ): Promise<void> {
    return this.statuses([deviceId], version, uptimeSeconds, facts);
  }

  /** Handles a status of each device in one batch. */
  async statuses(
    deviceIds: readonly string[],
    version: string,
    uptimeSeconds: number | null = 30,
    facts: Readonly<Record<string, FactValue>> = {},
  ): Promise<void> {
    const receivedAt = this.now;
    const statuses = deviceIds.map((deviceId) => ({
      receivedAt,
      payloadHash: sha256(`${deviceId} ${version} ${receivedAt.toISOString()}`),
      report: {
        deviceId,
        clientId: deviceId,
        macAddress: null,
        macReceivedAt: null,
        model: 'esp32-s3',
        modelReceivedAt: receivedAt,
        version,
        versionReceivedAt: receivedAt,
        online: true,
        reachabilityReceivedAt: receivedAt,
        lastSeen: receivedAt,
        uptimeSeconds,
        signalStrengthDbm: null,
        status: {},
        facts: Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, { value, at: receivedAt }])),
      },
    }));
    const { pending } = await storeStatuses(this.#as('ingest'), statuses, this.now);
    await this.#dispatch(pending);
  }

  accept(deviceId: string, family: CommandFamily = 'devices'): Promise<void> {
    return this.#report(deviceId, 'accepted', { status: 'accepted' }, family);
  }

  progress(deviceId: string, state: ReportedState): Promise<void> {
    return this.#report(deviceId, 'progress', { percent: 50, state }, 'devices', state);
  }

  result(deviceId: string, code: number): Promise<void> {
    return this.#report(deviceId, 'result', { success: code === 0, resultCode: code, message: `code ${code}` });
  }

  /** Fetches the image and reports that it is not valid, which is final and the build's own failure. */
  async fail(...devices: string[]): Promise<void> {
    for (const device of devices) {
      await this.fetch(device);
      await this.result(device, 9);
    }
  }

  /** Opens the link of the newest command of a device. */
  async fetch(deviceId: string): Promise<OpenedLink['kind']> {
    const link = this.sent.findLast((command) => command.deviceId === deviceId)?.link;
    return link === undefined ? 'unknown' : (await openLink(this.#as('public'), link, this.now, this.trust)).kind;
  }

  /** The whole of a good update: fetched, installed, booted, proven. Moves the clock by seven minutes. */
  async succeed(...devices: string[]): Promise<void> {
    await this.boot(...devices);
    this.later(6);
    await this.prove(...devices);
  }

  /** Fetched, installed and booted: the devices are on probation. Moves the clock by a minute. */
  async boot(...devices: string[]): Promise<void> {
    for (const device of devices) {
      await this.fetch(device);
      await this.result(device, 0);
    }
    this.later(1);
    for (const device of devices) await this.status(device, this.#sentVersion(device));
  }

  /** A status of each device that names the version that it was sent last, with an uptime since its boot. */
  async prove(...devices: string[]): Promise<void> {
    for (const device of devices) await this.status(device, this.#sentVersion(device), 390);
  }

  #sentVersion(device: string): string {
    return this.sent.findLast(({ deviceId }) => deviceId === device)?.version ?? '';
  }

  async #report(
    deviceId: string,
    type: Report['type'],
    payload: object,
    family: CommandFamily = 'devices',
    state: ReportedState | null = null,
  ): Promise<void> {
    const report: Report = {
      deviceId,
      type,
      receivedAt: this.now,
      payloadHash: sha256(JSON.stringify(payload)),
      payload,
      version: null,
      state,
    };
    await storeReports(this.#as('ingest'), [{ family, clientId: deviceId, report }]);
  }

  async #dispatch(ids: readonly number[]): Promise<void> {
    if (ids.length > 0) await dispatchUpdates(this.#as('control'), ids, this.now, this.trust, makeCommands, this.#send);
  }

  #send = async (command: PlannedCommand, attempt: number, now: Date): Promise<SendOutcome> => {
    const { id, clientId: deviceId } = command;
    this.sends++;
    const fate = this.fates.get(deviceId);
    if (fate !== undefined) {
      const minutes = RETRY_MINUTES[fate];
      const retryAt = minutes === undefined ? null : new Date(now.getTime() + minutes * 60_000);
      return { id, attempt, outcome: fate, message: fate === 'unconfirmed' ? null : fate, retryAt };
    }
    if (this.absent.has(deviceId)) {
      const retryAt = new Date(now.getTime() + 3_600_000);
      return { id, attempt, outcome: 'absent', message: 'the device is not connected', retryAt };
    }
    const { url, version } = JSON.parse(command.payload) as { url: string; version: string };
    const link = parseLinkToken(url.slice(url.lastIndexOf('/') + 1), SECRET);
    if (link === undefined) throw new Error(`no link in ${url}`);
    this.sent.push({ deviceId, version, family: command.topic.split('/')[1] ?? '', link });
    return { id, attempt, outcome: 'acknowledged', message: null, retryAt: null };
  };
}
