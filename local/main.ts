import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RDSDataClient } from '@aws-sdk/client-rds-data';
import pc from 'picocolors';
import { type Database, dataApiDatabase } from '../core/database.ts';
import { startDemo } from './demo.ts';
import { readSnapshot, renderSnapshot } from './fleet-view.ts';
import type { Endpoints } from './home.ts';
import { parseOptions, type StartOptions, USAGE } from './options.ts';
import { DEFAULT_PORTS, startRuntime } from './runtime.ts';
import { synthesize } from './synthesize.ts';

// The SDK's notice about future Node versions is for maintainers, not for who watches a fleet.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const REFRESH_MS = 1_000;
const CLEAR = '\x1b[H\x1b[J';

/** `npm start`: the whole system on this machine, with a fleet to watch, until Ctrl-C. */
async function main(options: StartOptions): Promise<void> {
  const home = process.env.PAKU_OTA_HOME ?? join(ROOT, '.local');
  const assembly = join(ROOT, 'cdk.out');
  console.log('Synthesizing the templates and bundles (only when sources changed) …');
  await synthesize(assembly);
  console.log('Starting …');
  const runtime = await startRuntime({
    assembly,
    home,
    databaseUrl: process.env.DATABASE_URL,
    tickSeconds: options.tickSeconds,
    host: options.host,
    ports: options.ports,
  });
  const database = openDatabase(runtime.endpoints);
  const endDemo = options.empty ? undefined : await startDemo(runtime, database, options);
  const view = showFleet(database, headOf(runtime.endpoints, home));

  await untilSignal();
  console.log('\nStopping …');
  view.stop();
  await endDemo?.();
  await runtime.close();
}

function openDatabase({ region, dataApi }: Endpoints): Database {
  const client = new RDSDataClient({ region, endpoint: dataApi.endpoint, credentials: dataApi });
  return dataApiDatabase(client, dataApi);
}

function headOf({ mqtt, s3, api }: Endpoints, home: string): string[] {
  return [
    `${pc.bold('paku-ota')} on this machine. Ctrl-C stops it; the next start goes on from here.`,
    pc.dim(`  MQTT mqtts://${mqtt.host}:${mqtt.port}   links ${api.url}/d/   S3 ${s3.endpoint} bucket ${s3.bucket}`),
    pc.dim(`  state ${home}   logs ${join(home, 'logs')}   credentials ${join(home, 'endpoints.json')}`),
    '',
  ];
}

/** On a terminal a picture that is drawn anew, else the lines that changed. */
function showFleet(database: Database, head: readonly string[]): { stop(): void } {
  let shown = new Set<string>();
  let busy = false;
  const refresh = async () => {
    const lines = renderSnapshot(await readSnapshot(database));
    if (process.stdout.isTTY) process.stdout.write(`${CLEAR}${[...head, ...lines].join('\n')}\n`);
    else for (const line of lines) if (!shown.has(line)) console.log(line);
    shown = new Set(lines);
  };
  if (!process.stdout.isTTY) for (const line of head) console.log(line);
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    refresh()
      .catch((error: Error) => console.error(`view: ${error.message}`))
      .finally(() => {
        busy = false;
      });
  }, REFRESH_MS);
  return { stop: () => clearInterval(timer) };
}

/** npm passes on the signal that the terminal sent already: only one that comes later is somebody losing patience. */
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

if (process.argv.includes('--help')) {
  console.log(USAGE);
} else {
  try {
    await main(parseOptions(process.argv.slice(2), DEFAULT_PORTS));
    process.exit(0);
  } catch (error) {
    console.error(pc.red(error instanceof Error ? error.message : String(error)));
    process.exit(1);
  }
}
