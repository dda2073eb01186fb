import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Load,
  projectCost,
  STATEMENTS_PER_REPORT_BATCH,
  STATEMENTS_PER_STATUS_BATCH,
} from '../../../../cli/commands/cost/cost-model.ts';
import type { Sql } from '../../../../core/db/index.ts';
import { parseOtaMessage } from '../../../../lambdas/ingest-ota/ota-message.ts';
import { storeReports } from '../../../../lambdas/ingest-ota/store-reports.ts';
import { parseStatus } from '../../../../lambdas/ingest-status/status-message.ts';
import { storeStatuses } from '../../../../lambdas/ingest-status/store-statuses.ts';
import { openTestDatabase, type TestDatabase } from '../../../support/database.ts';

const LOAD: Load = {
  devices: 100,
  period: 60,
  updates: 1,
  imageMiB: 1,
  rolloutHours: 24,
  retained: true,
  basicIngest: false,
  sweepMinutes: 60,
};
const of = (load: Partial<Load>, service: string) =>
  projectCost({ ...LOAD, ...load }).lines.find((line) => line.service === service)?.cost ?? Number.NaN;

describe('a projection', () => {
  // 100 devices at 60 s: 4.38 M messages a month.
  test('follows list prices', () => {
    expect(of({}, 'IoT Core: connections')).toBeCloseTo(0.35, 2);
    expect(of({ retained: false, updates: 0 }, 'IoT Core: messages')).toBeCloseTo(4.38, 2);
    expect(of({ updates: 0 }, 'IoT Core: rules')).toBeCloseTo(1.31, 2);
    expect(of({ sweepMinutes: 0, updates: 0, devices: 1 }, 'Aurora')).toBeCloseTo(43.8, 1);
  });

  test('uses the price of each tier', () => {
    const million = { devices: 1_000_000, retained: false, updates: 0 };
    expect(of(million, 'IoT Core: messages')).toBeCloseTo(1000 + 3200 + 38.8e9 * 0.7e-6, 0);
  });

  test('counts a retained status twice, and a status by Basic Ingest not at all', () => {
    expect(of({ updates: 0 }, 'IoT Core: messages')).toBeCloseTo(8.76, 2);
    expect(of({ updates: 0, basicIngest: true }, 'IoT Core: messages')).toBe(0);
  });

  test('includes idle mode, unless the fleet is too large or a rollout runs', () => {
    expect(of({ updates: 0 }, 'Aurora')).toBeLessThan(8);
    expect(of({ updates: 0, devices: 5_001 }, 'Aurora')).toBeGreaterThan(43);
    expect(of({ updates: 30 }, 'Aurora')).toBeGreaterThan(43);
  });

  test('includes the fee of AWS IoT Jobs for comparison', () => {
    expect(projectCost({ ...LOAD, devices: 10_000 }).iotJobsFee).toBeCloseTo(30);
    expect(projectCost({ ...LOAD, devices: 1_000_000 }).iotJobsFee).toBeCloseTo(1_875);
  });
});

describe('a batch', () => {
  let db: TestDatabase;
  let statements = 0;
  const counting: Sql = {
    query: (...given: Parameters<Sql['query']>) => {
      statements++;
      return db.app.query(...given);
    },
  } as Sql;
  beforeAll(async () => {
    db = await openTestDatabase();
  });
  afterAll(() => db?.close());
  const messages = (topic: string, payload: object) =>
    Array.from({ length: 20 }, (_, n) => ({
      topic: topic.replace('+', `d${n}`),
      deviceId: `d${n}`,
      clientId: `d${n}`,
      receivedAt: new Date(Date.UTC(2026, 2, 1)),
      payloadHash: `${n}`,
      payload,
      fault: null,
      isReadable: true,
    }));

  test('of statuses takes as many statements as the projection says', async () => {
    const statuses = messages('paku/edge/+/status', { firmware_version: '1.0.0' }).map((message) => {
      const { report } = parseStatus(message as unknown as Parameters<typeof parseStatus>[0]);
      return { ...message, report };
    });
    statements = 0;
    await storeStatuses(counting, statuses, new Date(Date.UTC(2026, 2, 1)));
    expect(statements).toBe(STATEMENTS_PER_STATUS_BATCH);
  });

  test('of reports takes as many statements as the projection says', async () => {
    const reports = messages('paku/devices/+/ota/status', { status: 'accepted' }).map((message) => {
      const read = parseOtaMessage(message as unknown as Parameters<typeof parseOtaMessage>[0], 'status');
      if (!read.ok) throw new Error(read.reason);
      return { message, family: 'devices' as const, clientId: message.clientId, report: read.value };
    });
    statements = 0;
    await storeReports(counting, reports as unknown as Parameters<typeof storeReports>[1]);
    expect(statements).toBe(STATEMENTS_PER_REPORT_BATCH);
  });
});
