import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import pc from 'picocolors';
import { type Database, dataApiDatabase } from '../../core/db/index.ts';
import { printable } from '../../core/util/index.ts';
import type { Endpoints } from '../home/index.ts';
import { tryAppend } from '../kernel/index.ts';
import { DEFAULT_PORTS, startRuntime } from '../runtime/index.ts';
import { buildConsole, CONSOLE_PORT, startLocalConsole } from './console.ts';
import { readOwnImage, startDemo } from './demo.ts';
import { readSnapshot, renderSnapshot } from './fleet-view.ts';
import { parseOptions, type StartOptions } from './options.ts';
import { synthesize } from './synthesize.ts';

// The SDK's notice about future Node versions does not concern users of this command.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const REFRESH_MS = 1_000;
/**
 * Idle mode saves nothing on this machine, and without it the orchestrator finds rows that were written by hand at
 * once.
 */
const NEVER_IDLE = { IDLE_SWEEP_MINUTES: '0' };
const CLEAR = '\x1b[H\x1b[J';

/** Writes to the log file, or to the terminal if the disk is full. */
function log(file: string, line: string): void {
  if (!tryAppend(file, `${new Date().toISOString()} ${line}\n`)) console.error(printable(line));
}

/** `npm start`: runs the whole system on this machine, with a virtual fleet, until Ctrl-C. */
async function main(options: StartOptions): Promise<void> {
  const home = process.env.PAKU_OTA_HOME ?? join(ROOT, '.local');
  const assembly = join(ROOT, 'cdk.out');
  const own = readOwnImage(options);
  console.log('Synthesizing the templates and bundles (only when sources changed) …');
  await synthesize(assembly);
  const pages = await buildConsole();
  console.log('Starting …');
  const runtime = await startRuntime({
    assembly,
    home,
    databaseUrl: process.env.DATABASE_URL,
    tickSeconds: options.tick,
    variables: { ...NEVER_IDLE, ...(options.requireApproval && { REQUIRE_APPROVAL: 'true' }) },
    host: options.host,
    ports: options.ports,
    log: (line) => log(join(home, 'logs', 'runtime.log'), line),
  });
  const web = await startLocalConsole(pages, runtime.endpoints, options.ports.console);
  const database = openDatabase(runtime.endpoints);
  const stopDemo = options.empty ? undefined : await startDemo(runtime, database, home, own, options.devices);
  // Before the view says that Ctrl-C stops it: a signal that nothing handles ends the process and leaves its lock.
  const signal = untilSignal();
  const stopView = showFleet(database, headOf(runtime.endpoints, home, web.url));

  await signal;
  console.log('\nStopping …');
  stopView();
  await stopDemo?.();
  await web.close();
  await runtime.close();
}

function openDatabase({ region, dataApi }: Endpoints): Database {
  const client = new RDSDataClient({ region, endpoint: dataApi.endpoint, credentials: dataApi });
  return dataApiDatabase(client, dataApi);
}

function headOf({ mqtt, s3, api }: Endpoints, home: string, consoleUrl: string): string[] {
  return [
    `${pc.bold('paku-ota')} on this machine. Ctrl-C stops it; the next start goes on from here.`,
    `  console ${pc.cyan(consoleUrl)}`,
    pc.dim(`  MQTT mqtts://${mqtt.host}:${mqtt.port}   links ${api.url}/d/   S3 ${s3.endpoint} bucket ${s3.bucket}`),
    pc.dim(`  state ${home}   logs ${join(home, 'logs')}   credentials ${join(home, 'endpoints.json')}`),
    '',
  ];
}

/** Redraws the view on a terminal; elsewhere prints the lines that changed. @returns a function that stops it */
function showFleet(database: Database, head: readonly string[]): () => void {
  const { isTTY } = process.stdout;
  if (!isTTY) console.log(head.join('\n'));
  let shown: readonly string[] = [];
  let stopped = false;
  const refresh = async () => {
    const lines = renderSnapshot(await readSnapshot(database));
    if (isTTY) process.stdout.write(`${CLEAR}${[...head, ...lines].join('\n')}\n`);
    else for (const line of lines) if (!shown.includes(line)) console.log(line);
    shown = lines;
  };
  const keepRefreshing = async () => {
    while (!stopped) {
      await refresh().catch((error: Error) => console.error(printable(`view: ${error.message}`)));
      await sleep(REFRESH_MS);
    }
  };
  void keepRefreshing();
  return () => {
    stopped = true;
  };
}

/** On Ctrl-C the signal arrives twice, from the terminal and from npm. A signal later than this forces the exit. */
const SAME_SIGNAL_MS = 1_000;

function untilSignal(): Promise<void> {
  let first: number | undefined;
  return new Promise((resolve) => {
    const onSignal = () => {
      if (first !== undefined && Date.now() - first > SAME_SIGNAL_MS) process.exit(130);
      first ??= Date.now();
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

try {
  await main(parseOptions(process.argv.slice(2), { ...DEFAULT_PORTS, console: CONSOLE_PORT }));
  process.exit(0);
} catch (error) {
  console.error(pc.red((error as Error).message));
  process.exit(1);
}
