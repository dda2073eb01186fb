import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { deviceTimeline, listVersionHistory } from '../../../core/devices/index.ts';
import { sampleFleetVersions, sweepHistory } from '../../../core/orchestrator/index.ts';
import { abortRollout, resumeRollout, stopRollout } from '../../../core/rollouts/rollout-control.ts';
import { eventBus, eventsService } from '../../../local/services/events/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { allow, REGION, startEndpoints, type TestEndpoints } from '../../support/local/aws-endpoints.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  await addRelease(db.app, '2.0.0');
  service = new TestService(db.app, db.roles);
});

test('returns the newest samples of a history with very many versions', async () => {
  await db.app.query(
    `INSERT INTO fleet_versions (sampled_at, device_model, firmware_version, devices)
     SELECT :now::timestamptz - make_interval(mins => 15 * step), 'esp32-s3', '1.' || version, 1
     FROM generate_series(0, 95) AS step, generate_series(1, 60) AS version`,
    { now: service.now },
  );
  const samples = await listVersionHistory(db.app, 24, service.now);
  expect(samples).toHaveLength(5_000);
  expect(samples.at(-1)?.at).toEqual(service.now);
});

const why = (rolloutId: number) => ({ rolloutId, reason: 'because', by: 'an operator' });
const DAY = 24 * 60;

/** A complete successful update of `d0`; everything but its status has the same time. */
async function updateOne(): Promise<void> {
  await addDevices(db.app, 1);
  await addRollout(db.app, 'r', '2.0.0', { stages: [] });
  await service.tick();
  await service.accept('d0');
  await service.succeed('d0');
  await service.tick();
}

describe('what dashboards read', () => {
  test('one row per rollout with its state and progress', async () => {
    await addDevices(db.app, 3);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    const overview = async () => {
      const [row] = await db.app.query('SELECT * FROM rollout_overview WHERE rollout_id = :id', { id });
      return row;
    };
    expect(await overview()).toMatchObject({ state: 'active', devices: 0 });
    await service.tick();
    expect(await overview()).toMatchObject({ state: 'active', devices: 3, in_progress: 3, pending: 0 });
    await service.succeed('d0');
    await service.fetch('d1');
    await service.fail('d1');
    expect(await overview()).toMatchObject({ devices: 3, in_progress: 1, failed: 1, succeeded: 1 });
    await stopRollout(db.app, why(id), service.now);
    await service.tick();
    expect(await overview()).toMatchObject({ state: 'paused', succeeded: 1, failed: 1, canceled: 1, devices: 3 });
    await abortRollout(db.app, why(id), service.now);
    expect(await overview()).toMatchObject({ state: 'aborted' });
  });

  test.each([
    [{ is_active: false }, 'draft'],
    [{ start_at: '2199-01-01T00:00:00Z' }, 'scheduled'],
  ])('a rollout with %j is %s', async (columns, state) => {
    await addRollout(db.app, 'r', '2.0.0', columns);
    expect(await db.app.query('SELECT state FROM rollout_overview')).toEqual([{ state }]);
  });

  test('one row per device with its newest update', async () => {
    await addDevices(db.app, 2);
    await addRollout(db.app, 'r', '2.0.0', { stages: [], target_filter: { device_ids: ['d0'] } });
    await service.tick();
    const rows = await db.app.query(
      'SELECT device_id, rollout_name, update_version, update_status, is_updating FROM device_overview ORDER BY device_id',
    );
    expect(rows).toEqual([
      { device_id: 'd0', rollout_name: 'r', update_version: '2.0.0', update_status: 'sent', is_updating: true },
      { device_id: 'd1', rollout_name: null, update_version: null, update_status: null, is_updating: false },
    ]);
  });

  test('the timeline of a device from its assignment to its outcome', async () => {
    await updateOne();
    const rows = await deviceTimeline(db.app, 'd0', null, 50);
    expect(rows.map(({ event }) => event).reverse()).toEqual([
      'assigned',
      'sent',
      'accepted',
      'fetch',
      'result',
      'status',
      'status',
      'attempt_ended',
      'ended',
    ]);
  });

  test('a timeline in pages is complete, although many events have the same time', async () => {
    await updateOne();
    const whole = await deviceTimeline(db.app, 'd0', null, 50);
    const told = [];
    for (let before: string | null = null; ; ) {
      const page: typeof whole = await deviceTimeline(db.app, 'd0', before, 1);
      if (page.length === 0) break;
      told.push(...page);
      before = page.at(-1)?.at.toISOString() ?? null;
    }
    expect(told).toEqual(whole);
  });

  test('every decision about a rollout with its reason and who decided', async () => {
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    await service.tick();
    await stopRollout(db.app, why(id), service.now);
    service.later(1);
    await resumeRollout(db.app, why(id), service.now);
    expect(
      await db.app.query('SELECT event, rollout_name, reason, decided_by FROM rollout_timeline ORDER BY event_id'),
    ).toEqual([
      { event: 'rollout_started', rollout_name: 'r', reason: null, decided_by: 'SQL' },
      { event: 'rollout_paused', rollout_name: 'r', reason: 'because', decided_by: 'an operator' },
      { event: 'rollout_resumed', rollout_name: 'r', reason: 'because', decided_by: 'an operator' },
    ]);
  });

  test('the history of how many devices ran which version', async () => {
    await addDevices(db.app, 2);
    await sampleFleetVersions(db.app, service.now);
    await sampleFleetVersions(db.app, service.now);
    service.later(5);
    await db.app.query(`UPDATE devices SET current_firmware_version = '2.0.0' WHERE device_id = 'd0'`);
    await sampleFleetVersions(db.app, service.now);
    const rows = await db.app.query(
      'SELECT firmware_version, devices FROM fleet_versions ORDER BY sampled_at, firmware_version',
    );
    expect(rows).toEqual([
      { firmware_version: '1.0.0', devices: 2 },
      { firmware_version: '1.0.0', devices: 1 },
      { firmware_version: '2.0.0', devices: 1 },
    ]);
  });
});

describe('history older than the configured days', () => {
  const counts = async () => {
    const [row] = await db.app.query(
      `SELECT (SELECT count(*)::integer FROM ota_events) AS events,
         (SELECT count(*)::integer FROM device_update_status) AS updates,
         (SELECT count(*)::integer FROM update_attempts) AS attempts`,
    );
    return row;
  };

  test('is deleted once its rollout has ended, and not before', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    await service.tick();
    await service.succeed('d0');
    service.later(10);
    await service.tick();
    await service.tick();
    expect(await db.app.query('SELECT state FROM rollout_overview')).toEqual([{ state: 'completed' }]);
    service.later(9 * DAY);
    await sweepHistory(db.app, 10, service.now);
    expect(await counts()).toMatchObject({ updates: 1, attempts: 1 });
    service.later(2 * DAY);
    await sweepHistory(db.app, 10, service.now);
    expect(await counts()).toEqual({ events: 0, updates: 0, attempts: 0 });
  });

  test('is kept for an open update', async () => {
    await addDevices(db.app, 1);
    await addRollout(db.app, 'r', '2.0.0', { stages: [], attempt_timeout_minutes: 1440 });
    await service.tick();
    await service.fetch('d0');
    service.later(30 * DAY);
    await sweepHistory(db.app, 10, service.now);
    expect(await counts()).toEqual({ events: 2, updates: 1, attempts: 1 });
  });

  test('is deleted although an older rollout never ends', async () => {
    await db.app.query(
      `INSERT INTO devices (device_id, current_firmware_version) SELECT 'open' || n, '2.0.0' FROM generate_series(1, 10000) AS n`,
    );
    await addDevices(db.app, 1);
    const open = await addRollout(db.app, 'open', '2.0.0', { keep_open: true });
    await db.app.query(
      `INSERT INTO device_update_status (device_id, rollout_id, firmware_version, status, completed_at, is_counted)
       SELECT device_id, :open, '2.0.0', 'success', :now::timestamptz, true FROM devices WHERE device_id LIKE 'open%'`,
      { open, now: service.now },
    );
    const ended = await addRollout(db.app, 'ended', '2.0.0');
    await db.app.query('UPDATE rollout_configurations SET completed_at = now() WHERE id = :ended', { ended });
    await db.app.query(
      `INSERT INTO device_update_status (device_id, rollout_id, firmware_version, status, completed_at, is_counted)
       VALUES ('d0', :ended, '2.0.0', 'success', :now::timestamptz, true)`,
      { ended, now: service.now },
    );
    // As autovacuum does after so many rows: plans that were made for empty tables read all of them for each row.
    await db.app.query('ANALYZE');
    service.later(11 * DAY);
    await sweepHistory(db.app, 10, service.now);
    expect(await counts()).toMatchObject({ updates: 10_000 });
  });

  test('is kept while the gates of a rollout depend on it', async () => {
    await addDevices(db.app, 3);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [], failure_threshold: 1, keep_open: true });
    await service.tick();
    for (const device of ['d0', 'd1']) {
      await service.fetch(device);
      await service.result(device, 0);
    }
    service.later(1);
    for (const device of ['d0', 'd1']) await service.status(device, '2.0.0-rc1');
    await service.tick();
    await resumeRollout(db.app, { rolloutId: id, reason: 'because', by: 'an operator' }, service.now);
    service.later(30 * DAY);
    await sweepHistory(db.app, 10, service.now);
    await service.tick();
    expect(await db.app.query('SELECT paused_reason FROM rollout_configurations')).toEqual([{ paused_reason: null }]);
  });
});

describe('changes of rollouts on the event bus', () => {
  let endpoints: TestEndpoints;
  let published: { 'detail-type': string; source: string; detail: Record<string, unknown> }[];
  beforeAll(async () => {
    const rule = { pattern: () => true, deliver: (event: string) => published.push(JSON.parse(event)) };
    const putEvent = eventBus([rule], Date.now);
    endpoints = await startEndpoints({ events: eventsService(putEvent) });
  });
  beforeEach(async () => {
    published = [];
    const { accessKeyId, secretAccessKey } = await endpoints.operator.credentials;
    vi.stubEnv('EVENT_BUS', 'default');
    vi.stubEnv('EVENT_SOURCE', 'paku-ota');
    vi.stubEnv('AWS_REGION', REGION);
    vi.stubEnv('AWS_ENDPOINT_URL', endpoints.aws.url);
    vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey);
  });
  afterAll(async () => {
    await endpoints?.aws.close();
  });

  test('are each published once, with reason and numbers', async () => {
    const { publishRolloutEvents } = await import('../../../lambdas/orchestrate/publish-events.ts');
    await addDevices(db.app, 1);
    const id = await addRollout(db.app, 'r', '2.0.0', { stages: [] });
    await service.tick();
    await stopRollout(db.app, why(id), service.now);
    await publishRolloutEvents(db.app, service.now);
    await publishRolloutEvents(db.app, service.now);
    expect(published.map((event) => [event.source, event['detail-type']])).toEqual([
      ['paku-ota', 'RolloutStarted'],
      ['paku-ota', 'RolloutPaused'],
    ]);
    expect(published[1]?.detail).toMatchObject({
      rollout: 'r',
      firmwareVersion: '2.0.0',
      reason: 'because',
      by: 'an operator',
      numbers: { assigned: 1 },
    });
  });

  test('are all published even if one call cannot hold them', async () => {
    const { publishRolloutEvents } = await import('../../../lambdas/orchestrate/publish-events.ts');
    await addDevices(db.app, 1);
    for (let n = 0; n < 12; n++) {
      const id = await addRollout(db.app, `r${n}`, '2.0.0', { stages: [] });
      await stopRollout(db.app, why(id), service.now);
    }
    await publishRolloutEvents(db.app, service.now);
    expect(published).toHaveLength(12);
  });

  test('are not published by a role without the grant', async () => {
    const client = new EventBridgeClient(endpoints.role(allow('events:PutEvents', 'arn:aws:events:::other')));
    await expect(client.send(await anEvent())).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(published).toEqual([]);
  });
});

async function anEvent() {
  const { PutEventsCommand } = await import('@aws-sdk/client-eventbridge');
  return new PutEventsCommand({ Entries: [{ EventBusName: 'default', Source: 's', DetailType: 't', Detail: '{}' }] });
}
