import fc from 'fast-check';
import { afterAll } from 'vitest';
import { restoreClients } from './mock-client.ts';

/**
 * Every run of the suite plays the same generated cases, so that a run without a change gives the same result. Long
 * runs look for new cases: PAKU_OTA_PROPERTY_SEED is a number, or `random`.
 */
const seed = process.env.PAKU_OTA_PROPERTY_SEED ?? '20260105';
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });

afterAll(restoreClients);
