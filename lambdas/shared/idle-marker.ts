import { AccessDenied, GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { awakeAfter, type IdleMarker, type IdlePeriod, isInIdleMode } from '../../core/orchestrator/index.ts';
import { IDLE_MARKER_KEY } from '../../core/protocol/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from './environment.ts';
import { logger } from './log.ts';

/** Short timeouts, because the marker is only a hint. */
const client = new S3Client({ maxAttempts: 2, requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 } });
const object = { Bucket: requireEnv(ENV.firmwareBucket), Key: IDLE_MARKER_KEY };

/** Minutes between two sweeps in idle mode; 0 disables idle mode, and the marker is never read. */
export const idleSweepMinutes = Number(requireEnv(ENV.idleSweepMinutes));

/** @returns undefined if no marker was written yet or S3 does not respond; the system is awake then */
export async function readIdleMarker(): Promise<IdleMarker | undefined> {
  if (idleSweepMinutes === 0) return undefined;
  try {
    const { Body } = await client.send(new GetObjectCommand(object));
    return JSON.parse((await Body?.transformToString()) ?? '') as IdleMarker;
  } catch (error) {
    // S3 reports "access denied" for a missing object if the caller may not list the bucket.
    const isAbsent = error instanceof NoSuchKey || error instanceof AccessDenied;
    if (!isAbsent) logger.warn('the idle marker cannot be read', error as Error);
    return undefined;
  }
}

export async function writeIdleMarker(marker: IdleMarker): Promise<void> {
  await client.send(new PutObjectCommand({ ...object, Body: JSON.stringify(marker), ContentType: 'application/json' }));
  logger.info('idle marker', { ...marker, devices: marker.state === 'idle' ? marker.devices.length : undefined });
}

/**
 * Ends idle mode, so that the next tick runs. Call it after the work is written: a tick in between could miss the work.
 * If S3 does not respond, the next sweep finds the work.
 */
export async function wake(now: Date): Promise<void> {
  if (idleSweepMinutes === 0) return;
  await writeIdleMarker(awakeAfter(await readIdleMarker(), now)).catch((error: Error) =>
    logger.error('the idle marker cannot be written: the requested work starts with the next sweep', error),
  );
}

/** How long a marker is cached, in milliseconds. */
const TRUSTED_MS = 15_000;
let readAt = Number.NEGATIVE_INFINITY;
let marker: IdleMarker | undefined;

/**
 * The current idle period; undefined while the system is awake. For functions that are called often: reads the marker
 * at most every {@link TRUSTED_MS}.
 */
export async function getIdlePeriod(now: Date): Promise<IdlePeriod | undefined> {
  if (Math.abs(now.getTime() - readAt) >= TRUSTED_MS) {
    marker = await readIdleMarker();
    readAt = now.getTime();
  }
  return isInIdleMode(marker, now) ? marker : undefined;
}
