import type { DatabaseRole, Sql } from '../../core/db/index.ts';
import { recordRefusals, spendAllowance } from '../../core/devices/index.ts';
import { stopRollout } from '../../core/rollouts/index.ts';
import { recordProcessed } from '../../core/updates/index.ts';
import { ingestReports } from '../../lambdas/ingest-ota/report-batch.ts';
import { parseStatusBatch, storeStatusBatch } from '../../lambdas/ingest-status/status-batch.ts';
import type { QueueMessage } from '../../lambdas/shared/queue-message.ts';
import { playControlStory } from './control-story.ts';
import type { TestDatabase } from './database.ts';
import { addDevices, addRelease, addRollout } from './rows.ts';
import { OTA_SENDERS, STATUS_SENDERS } from './senders.ts';
import { TestService } from './service.ts';

/** The database of a function, whose statements are recorded. */
function recording(sql: Sql, statements: Set<string>): Sql {
  return {
    query(text, values) {
      statements.add(text);
      return sql.query(text, values);
    },
  };
}

/** Plays stories that together use each grant of each role. @returns the statements of each role */
export async function playRoleStories(db: TestDatabase): Promise<Readonly<Record<DatabaseRole, Set<string>>>> {
  const recorded = { public: new Set<string>(), ingest: new Set<string>(), control: new Set<string>() };
  const roles: Readonly<Record<DatabaseRole, Sql>> = {
    public: recording(db.roles.public, recorded.public),
    ingest: recording(db.roles.ingest, recorded.ingest),
    control: recording(db.roles.control, recorded.control),
  };
  const service = new TestService(db.app, roles);
  await addDevices(db.app, 4);
  await addRelease(db.app, '2.0.0');
  const rollout = await addRollout(db.app, 'all', '2.0.0', { stages: [], keep_open: true });
  await service.tick();
  await updateDevices(service, roles.ingest);
  await stopRollout(roles.control, { rolloutId: rollout, reason: 'enough', by: 'ann' }, service.now);
  if ((await service.fetch('d3')) !== 'over') throw new Error('the link of a stopped rollout works');
  await db.app.query(`INSERT INTO allowed_devices (device_id, allowed_at, allowed_by) VALUES ('new', now(), 'ann')`);
  const certificate = { certificateId: 'c', claimCertificateId: 'a-claim' };
  if (!(await spendAllowance(roles.public, 'new', certificate, service.now))) throw new Error('no certificate');
  await playControlStory(db, roles.control, service);
  return recorded;
}

/** A good update, one that fails after a retry and is found to have succeeded, one that the device began by itself. */
async function updateDevices(service: TestService, ingest: Sql): Promise<void> {
  await service.succeed('d0');
  service.later(1);
  await service.status('d0', '1.0.0', 5);
  await service.fetch('d1');
  await service.result('d1', 2);
  await service.fail('d2');
  service.later(10);
  await service.status('d2', '2.0.0', 5);
  await flood(ingest, service.now);
  const refusal = { clientId: 'x', reason: 'AUTH_ERROR', at: service.now } as const;
  await recordRefusals(ingest, [refusal]);
  await recordProcessed(ingest, 'ota', service.now, service.now);
}

/** Messages that are not readable, and more than the limit looks up in the history. */
async function flood(ingest: Sql, now: Date): Promise<void> {
  const status = parseStatusBatch(messagesOn('paku/devices/d3/status', now, 'x'), STATUS_SENDERS, now);
  await storeStatusBatch(ingest, status, now);
  const result = JSON.stringify({ success: true, version: '7.7.7' });
  await ingestReports(ingest, messagesOn('paku/devices/d3/ota/result', now, result), OTA_SENDERS, now);
}

const MESSAGES = 20;

function messagesOn(topic: string, now: Date, payload: string): QueueMessage[] {
  return Array.from({ length: MESSAGES }, (_, n) => ({
    body: JSON.stringify({
      topic,
      client_id: topic.split('/')[2],
      received_at: now.getTime() - n,
      payload: Buffer.from(payload).toString('base64'),
    }),
  }));
}
