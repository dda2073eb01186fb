import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceInfo } from '../../../api/service.ts';
import type { Session } from '../../session/index.ts';
import { describeFailure, ROOT } from '../../session/index.ts';
import { duration } from '../../text/index.ts';
import type { Check } from './check.ts';
import { checkTlsHandshake } from './tls-handshake.ts';

/** Differences between clocks; null when one of the two is not known. */
export interface Clocks {
  /** Seconds that this machine's clock is ahead of the API's. */
  readonly skewSeconds: number | null;
  /** Seconds that the database's clock is ahead of the API's. */
  readonly databaseSkewSeconds: number | null;
}

/** Runs every check; all of them only read. A check that fails does not stop the others. */
export async function checkSystem(session: Session): Promise<{ checks: Check[]; clock: Clocks }> {
  const { target } = session;
  const front = await checkFrontDoor(target.apiUrl);
  const began = Date.now();
  const info = await session.api.info().catch((error: unknown) => describeFailure(error).join('; '));
  const tookMs = Date.now() - began;
  const databaseSkewSeconds =
    typeof info === 'string' || front.date === null
      ? null
      : (Date.parse(info.database_time) - tookMs - front.date) / 1000;
  const extras = target.kind === 'aws' ? import('./check-aws.ts') : undefined;
  const checks = [
    front.check,
    checkClock(front.skewSeconds),
    ...checkInfo(info, tookMs, target.kind),
    await orFailure('device links', () => checkLinks(target.apiUrl)),
    await orFailure('dead letters', () => checkDeadLetters(session)),
    await orFailure('broker', async () => (extras ? (await extras).checkBroker(target) : checkLocalBroker(session))),
    ...(extras
      ? [
          await orFailure('roots of devices', async () => (await extras).checkTrustAnchors(target)),
          await orFailure('firmware bucket', async () => (await extras).checkBucket(target)),
        ]
      : []),
  ];
  return { checks, clock: { skewSeconds: front.skewSeconds, databaseSkewSeconds } };
}

/** The result of a check; an error makes it fail with the reason. */
async function orFailure(check: string, run: () => Promise<Check>): Promise<Check> {
  try {
    return await run();
  } catch (error) {
    return { check, outcome: 'fail', detail: describeFailure(error).join('; ') };
  }
}

/** An unsigned call must be refused. Its Date header also gives the API's time when no signature is accepted. */
async function checkFrontDoor(
  apiUrl: string,
): Promise<{ check: Check; skewSeconds: number | null; date: number | null }> {
  const check = 'API';
  const response = await fetch(`${apiUrl}/v1/info`).catch(() => undefined);
  if (response === undefined) {
    return { check: { check, outcome: 'fail', detail: `${apiUrl} does not answer` }, skewSeconds: null, date: null };
  }
  const header = response.headers.get('date');
  const date = header === null ? null : Date.parse(header);
  const skewSeconds = date === null ? null : (Date.now() - date) / 1000;
  const detail = {
    403: `${apiUrl} answers, and refuses calls that are not signed`,
    200: `${apiUrl} answers calls that are not signed: anyone may control the fleet`,
    404: `${apiUrl} has no operator API: is this an older deployment?`,
  }[response.status];
  const outcome = response.status === 403 ? 'pass' : 'fail';
  return {
    check: { check, outcome, detail: detail ?? `${apiUrl} answers HTTP ${response.status}, expected 403` },
    skewSeconds,
    date,
  };
}

const MAX_SKEW_SECONDS = 120;

export function checkClock(skewSeconds: number | null): Check {
  const check = 'clock';
  if (skewSeconds === null) return { check, outcome: 'not tested', detail: 'the API said no time' };
  const difference = Math.abs(skewSeconds);
  // The Date header has whole seconds.
  if (difference <= 2) return { check, outcome: 'pass', detail: 'this machine and the API agree' };
  const detail = `this machine is ${duration(difference)} ${skewSeconds > 0 ? 'ahead of' : 'behind'} the API`;
  if (difference <= MAX_SKEW_SECONDS) return { check, outcome: 'pass', detail };
  return { check, outcome: 'fail', detail: `${detail}; signatures are refused from 5 min on: set its clock` };
}

const UPDATE = { local: 'stop it, and npm start', aws: 'npm run deploy' };

function checkInfo(info: ServiceInfo | string, tookMs: number, kind: 'local' | 'aws'): Check[] {
  if (typeof info === 'string') return [{ check: 'signed call', outcome: 'fail', detail: info }];
  return [
    { check: 'identity', outcome: 'pass', detail: info.caller },
    { check: 'round trip', outcome: 'pass', detail: `API, function and database answered in ${tookMs} ms` },
    checkSchema(info.schema_version, newestMigration(), `service ${info.version}`, UPDATE[kind]),
  ];
}

/** @param update what brings the deployment up to date */
export function checkSchema(deployed: number, known: number, service: string, update: string): Check {
  const check = 'schema';
  if (deployed === known) return { check, outcome: 'pass', detail: `version ${deployed}, ${service}` };
  const act =
    deployed < known ? `it is older than this paku-ota: ${update}` : 'this paku-ota is older than it: update paku-ota';
  return { check, outcome: 'fail', detail: `version ${deployed}, expected ${known}; ${act}` };
}

/** The highest number in the names of the files, such as `000001_initial.sql`. */
function newestMigration(): number {
  return Math.max(...readdirSync(join(ROOT, 'schema')).map((file) => Number(/^(\d{6})_.*\.sql$/.exec(file)?.[1] ?? 0)));
}

/** A token of the right length that is no device's. */
const NO_LINK = 'A'.repeat(23);

async function checkLinks(apiUrl: string): Promise<Check> {
  const { status } = await fetch(`${apiUrl}/d/${NO_LINK}`, { redirect: 'manual' });
  const outcome = status === 404 ? 'pass' : 'fail';
  const detail =
    status === 404 ? `${apiUrl}/d/… answers` : `${apiUrl}/d/… answers HTTP ${status} to an unknown link, expected 404`;
  return { check: 'device links', outcome, detail };
}

async function checkDeadLetters({ api }: Session): Promise<Check> {
  const { items } = await api.deadLetters();
  const filled = items.filter(({ messages }) => messages > 0).map(({ queue, messages }) => `${queue} ${messages}`);
  if (filled.length === 0) return { check: 'dead letters', outcome: 'pass', detail: `none in ${items.length} queues` };
  const detail = `${filled.join(', ')}: find the cause in the logs, then paku-ota dead-letters redrive <queue>`;
  return { check: 'dead letters', outcome: 'fail', detail };
}

async function checkLocalBroker({ target }: Session): Promise<Check> {
  const { host = '', port = 0, caFile = '' } = target.endpoints?.mqtt ?? {};
  await checkTlsHandshake(host, port, readFileSync(caFile, 'utf8'));
  return {
    check: 'broker',
    outcome: 'pass',
    detail: `mqtts://${host}:${port} shows a certificate of its own authority`,
  };
}
