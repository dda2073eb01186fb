import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { buildImage } from '../../fleet/build-image.ts';
import { openDatabaseAt } from '../../test/support/database.ts';
import { ownDatabase } from '../../test/support/own-database.ts';
import { type Spread, spreadOf } from './bench.ts';
import { openFunctions, sqsEvent } from './functions-under-test.ts';

const MIB = 2 ** 20;
const SIZES = [MIB / 4, MIB, 4 * MIB];
const RUNS = 5;
const PEAK_MEMORY = fileURLToPath(new URL('peak-memory.mjs', import.meta.url));

export interface Registering {
  readonly imageBytes: number;
  /** Peak resident memory of a new process that registers the image. */
  readonly peakMiB: Spread;
}

/** Measures the memory of registering a release, by the size of the image. */
export async function measureRegistering(log: (line: string) => void): Promise<Registering[]> {
  const server = await ownDatabase();
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: expected the URL of a PostgreSQL server');
  const functions = await openFunctions(server.url);
  const db = await openDatabaseAt(server.url, false);
  const folder = mkdtempSync(join(tmpdir(), 'paku-ota-bench-'));
  try {
    const { region, awsUrl: endpoint, keys: credentials, bucket } = functions;
    const s3 = new S3Client({ region, endpoint, credentials });
    const results: Registering[] = [];
    for (const [minor, size] of SIZES.entries()) {
      const peaks: number[] = [];
      for (let run = 0; run < RUNS; run++) {
        const version = `1.${minor}.${run}`;
        const Body = buildImage({ version, codeBytes: size });
        await s3.send(new PutObjectCommand({ Bucket: bucket, Key: `firmware/${version}/esp32-s3.bin`, Body }));
        const event = join(folder, 'event.json');
        writeFileSync(event, JSON.stringify(sqsEvent(functions.takeQueued('RegisterReleaseQueue'))));
        peaks.push(await peakMiB(functions.fn('RegisterRelease').options, event));
        const [release] = await db.app.query('SELECT 1 FROM firmware_releases WHERE version = :version', { version });
        if (release === undefined) {
          const rejected = await db.app.query('SELECT verdict, message FROM rejected_uploads ORDER BY id DESC LIMIT 1');
          throw new Error(`the image of ${size} bytes was not registered: ${JSON.stringify(rejected)}`);
        }
      }
      results.push({ imageBytes: size, peakMiB: spreadOf(peaks) });
      log(`registering ${size} bytes: ${peaks.map(Math.round).join(' ')} MiB`);
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await db.close();
    await functions.close();
    await server.drop();
  }
}

async function peakMiB(
  { codeFolder, environment }: { readonly codeFolder: string; readonly environment: Readonly<Record<string, string>> },
  event: string,
): Promise<number> {
  const module = pathToFileURL(join(codeFolder, 'index.mjs')).href;
  const { stdout } = await promisify(execFile)(process.execPath, [PEAK_MEMORY, module, event], { env: environment });
  return Number(stdout.trim().split('\n').at(-1)) / 1024;
}
