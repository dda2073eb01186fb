import { AccessDenied, GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type IdleMarker, type IdlePeriod, isInIdleMode } from '../../core/orchestrator/index.ts';
import { IDLE_MARKER_KEY } from '../../core/policy/index.ts';
import { ENV } from '../../core/util/index.ts';
import { requireEnv } from './environment.ts';
import { logger } from './log.ts';

/** A hint is not worth waiting for. */
const client = new S3Client({ maxAttempts: 2, requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 } });
const object = { Bucket: requireEnv(ENV.firmwareBucket), Key: IDLE_MARKER_KEY };

/** Minutes between two looks of a getIdlePeriod system; 0: it never rests, and nobody asks. */
export const idleSweepMinutes = Number(requireEnv(ENV.idleSweepMinutes));

/** @returns undefined before the first was written, and where S3 does not answer: the system is awake then */
export async function readIdleMarker(): Promise<IdleMarker | undefined> {
  if (idleSweepMinutes === 0) return undefined;
  try {
    const { Body } = await client.send(new GetObjectCommand(object));
    return JSON.parse((await Body?.transformToString()) ?? '') as IdleMarker;
  } catch (error) {
    // S3 says "access denied" of an object that is not there to whoever may not list the bucket.
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
 * Has the orchestrator look at its next tick. To be called after work was written: what comes before may be overlooked.
 * Where S3 does not answer, the work is found by the next sweep.
 */
export async function wake(now: Date): Promise<void> {
  if (idleSweepMinutes === 0) return;
  await writeIdleMarker({ state: 'awake', since: now.toISOString() }).catch((error: Error) =>
    logger.error('the idle marker cannot be written: the requested work starts with the next sweep', error),
  );
}

/** For how long a marker is gone by that was read. */
const TRUSTED_MS = 15_000;
let readAt = Number.NEGATIVE_INFINITY;
let marker: IdleMarker | undefined;

/** The marker while the system rests; for functions that are called often, read at most every {@link TRUSTED_MS}. */
export async function getIdlePeriod(now: Date): Promise<IdlePeriod | undefined> {
  if (Math.abs(now.getTime() - readAt) >= TRUSTED_MS) {
    marker = await readIdleMarker();
    readAt = now.getTime();
  }
  return isInIdleMode(marker, now) ? marker : undefined;
}
