import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { ServiceInfo } from '../../../api/service.ts';
import { describeFailure } from '../../session/failure.ts';
import type { Session } from '../../session/session.ts';
import { ROOT } from '../../session/target.ts';
import { duration } from '../../text/units.ts';

export type Outcome = 'pass' | 'partly' | 'fail' | 'not tested' | 'imitated';

export interface Check {
  readonly check: string;
  readonly outcome: Outcome;
  readonly detail: string;
}

/** The clocks, for what is judged by them; null where they were not heard. */
export interface Clocks {
  /** How much the clock here is ahead of the one of the API, seconds. */
  readonly skewSeconds: number | null;
  /** How much the database's clock is ahead of the one of the API, seconds. */
  readonly databaseSkewSeconds: number | null;
}

/** Checks that read only. None stops the others: a doctor who gives up at the first finding is no help. */
export async function checkSystem(session: Session): Promise<{ checks: Check[]; clock: Clocks }> {
  const { target } = session;
  const front = await lookAtFrontDoor(target.apiUrl);
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
    await attempt('device links', () => checkLinks(target.apiUrl)),
    await attempt('dead letters', () => checkDeadLetters(session)),
    await attempt('broker', async () => (extras ? (await extras).checkBroker(target) : checkLocalBroker(session))),
    ...(extras ? [await attempt('firmware bucket', async () => (await extras).checkBucket(target))] : []),
  ];
  return { checks, clock: { skewSeconds: front.skewSeconds, databaseSkewSeconds } };
}

/** What cannot be looked at is a failure with its reason. */
async function attempt(check: string, look: () => Promise<Check>): Promise<Check> {
  try {
    return await look();
  } catch (error) {
    return { check, outcome: 'fail', detail: describeFailure(error).join('; ') };
  }
}

/** An unsigned call must be refused; its answer also tells the time where no signature would be accepted. */
async function lookAtFrontDoor(
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

const SKEW_SECONDS = 120;

export function checkClock(skewSeconds: number | null): Check {
  const check = 'clock';
  if (skewSeconds === null) return { check, outcome: 'not tested', detail: 'the API said no time' };
  const apart = Math.abs(skewSeconds);
  // The Date header has whole seconds.
  if (apart <= 2) return { check, outcome: 'pass', detail: 'this machine and the API agree' };
  const detail = `this machine is ${duration(apart)} ${skewSeconds > 0 ? 'ahead of' : 'behind'} the API`;
  if (apart <= SKEW_SECONDS) return { check, outcome: 'pass', detail };
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

/** @param update how the other side is brought up to date */
export function checkSchema(deployed: number, known: number, service: string, update: string): Check {
  const check = 'schema';
  if (deployed === known) return { check, outcome: 'pass', detail: `version ${deployed}, ${service}` };
  const act =
    deployed < known ? `it is older than this paku-ota: ${update}` : 'this paku-ota is older than it: update paku-ota';
  return { check, outcome: 'fail', detail: `version ${deployed}, expected ${known}; ${act}` };
}

/** By the names of the files, `000003_operators.sql`. */
function newestMigration(): number {
  return Math.max(...readdirSync(join(ROOT, 'schema')).map((file) => Number(/^(\d{6})_.*\.sql$/.exec(file)?.[1] ?? 0)));
}

/** A link that no device was ever given. */
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
  await greet(host, port, readFileSync(caFile, 'utf8'));
  return {
    check: 'broker',
    outcome: 'pass',
    detail: `mqtts://${host}:${port} shows a certificate of its own authority`,
  };
}

const GREETING_MS = 5_000;

/** A TLS handshake without a client certificate, which shows the server's own. @throws Error when it is not trusted */
export function greet(host: string, port: number, ca?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      servername: /^[\d.]+$/.test(host) ? '' : host,
      ...(ca !== undefined && { ca }),
    });
    const end = (error?: Error) => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(new Error(`mqtts://${host}:${port}: ${error.message}`));
    };
    socket.setTimeout(GREETING_MS, () => end(new Error(`no answer within ${GREETING_MS / 1000} s`)));
    socket.once('secureConnect', () => end()).once('error', end);
  });
}
