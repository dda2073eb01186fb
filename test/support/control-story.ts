import type { Sql } from '../../core/db/index.ts';
import { releaseLease, takeLease } from '../../core/db/index.ts';
import {
  acceptIdentities,
  listNewCertificates,
  recordCheckedCertificates,
  recordSubscribedFamilies,
  stateAssumedModels,
} from '../../core/devices/index.ts';
import { listStalledRollouts } from '../../core/explain/index.ts';
import { assessIdle, hasWork, runTickAlone, sampleFleetVersions, sweepHistory } from '../../core/orchestrator/index.ts';
import {
  findEarlierImage,
  findHighestSecureVersion,
  findSignedProject,
  findSignedRelease,
  fixModelChip,
  forgetRejectedUpload,
  insertRelease,
  listProjects,
  listReportedModels,
  matchUploadRequest,
  type NewRelease,
  recordRejectedUpload,
  storeSignature,
} from '../../core/releases/index.ts';
import { loadHaltNotice, loadUnpublishedEvents, markPublished } from '../../core/rollouts/index.ts';
import { listUnverified, recordQueues, recountSlots } from '../../core/updates/index.ts';
import { CALLER, DRAFT, TestApi } from './api.ts';
import type { TestDatabase } from './database.ts';
import { addDevices, addRelease } from './rows.ts';
import type { TestService } from './service.ts';

const SECOND = 'arn:aws:iam::000000000000:user/second';
const reason = 'a story';

/** Plays every kind of work of the functions of the role control. `sql` and `service` have the database as that role. */
export async function playControlStory(db: TestDatabase, sql: Sql, service: TestService): Promise<void> {
  await addDevices(db.app, 20, { prefix: 'e' });
  for (const version of ['1.0.0', '3.0.0', '4.0.0', '5.0.0']) await addRelease(db.app, version);
  await registerReleases(sql, service.now);
  const api = new TestApi(sql, () => service.now);
  await changeDevices(api);
  await rollOut(api, service);
  await approve(sql, service);
  await holdDevices(api);
  await knowIssues(api);
  await readEverything(api);
  await revoke(api, service);
  await orchestrate(sql, service.now);
}

async function registerReleases(sql: Sql, now: Date): Promise<void> {
  const upload = { objectKey: 'firmware/9.0.0/other.bin', objectVersion: 'v' };
  const unknown = { requestedBy: null, putBy: null, putFrom: null };
  const release: NewRelease = {
    ...unknown,
    ...{ version: '9.0.0', deviceModel: 'other', minVersion: null, changelog: null, releaseNotes: null },
    ...{ objectKey: 'releases/9.bin', sizeBytes: 1, sha256: 'a'.repeat(64), image: {}, warnings: [] },
    ...{ chip: 'ESP32-S3', projectName: 'p', appVersion: '9.0.0' },
    ...{ isSigned: false, signingKey: null, signatureExpiresAt: null, manifest: null, manifestSignature: null },
    ...{ uploadedKey: upload.objectKey, uploadedVersion: upload.objectVersion },
  };
  const { deviceModel, version } = release;
  await listReportedModels(sql);
  await findSignedProject(sql, deviceModel);
  await findEarlierImage(sql, deviceModel, version);
  await listProjects(sql, deviceModel);
  await findHighestSecureVersion(sql, deviceModel);
  await fixModelChip(sql, deviceModel, release.chip);
  await insertRelease(sql, release, now);
  await findSignedRelease(sql, deviceModel, version);
  await storeSignature(sql, { ...release, isSigned: true, signingKey: 'key' }, ['key']);
  await matchUploadRequest(sql, { token: 'x', ...upload });
  const truncated = { sizeBytes: 1, verdict: 'TRUNCATED', message: 'x', image: {}, uploadedAt: now };
  await recordRejectedUpload(sql, { ...upload, ...unknown, ...truncated });
  await forgetRejectedUpload(sql, upload.objectKey, upload.objectVersion);
}

async function changeDevices({ client }: TestApi): Promise<void> {
  await client.setAttributes('e1', { site: 'rome' });
  await client.setGroups('e1', ['g']);
  await client.changeGroup('g', { add: ['e2'], remove: ['e1'] });
  await client.changeAllowedDevices({ add: ['new-1', 'new-2'] });
  await client.changeAllowedDevices({ remove: ['new-2'] });
  await client.startUpload({ version: '7.0.0', device_model: 'esp32-s3' });
  await client.rescanUpload('firmware/7.0.0/esp32-s3.bin');
}

/** A rollout that halts after each device of its first stage booted back, is resumed, recovered and aborted. */
async function rollOut({ client }: TestApi, service: TestService): Promise<void> {
  const draft = { ...DRAFT, firmware_version: '3.0.0', max_attempts: 1, probation_minutes: 0 };
  await client.previewRollout(draft);
  const saved = await client.createRollout({ ...draft, name: 'saved', is_active: false });
  await client.previewOf(saved);
  const replaced = await client.replaceDraft(saved.rollout_id, saved.updated_at, {
    ...draft,
    name: 'saved',
    is_active: false,
  });
  await client.changeRollout(saved.rollout_id, replaced.updated_at, { failure_count: 3 });
  const stages = [{ percentage: 50 }, { percentage: 100 }];
  const { rollout_id: id } = await client.createRollout({ ...draft, name: 'failing', failure_count: 2, stages });
  await service.tick();
  const told = service.sent.filter(({ version }) => version === '3.0.0').map(({ deviceId }) => deviceId);
  const [cutOff = '', ...bad] = told;
  await service.fetch(cutOff);
  await service.result(cutOff, 2);
  await service.boot(...bad);
  service.later(6);
  for (const device of bad) await service.status(device, '1.0.0', 5);
  await service.tick();
  await client.rolloutHealth(id);
  await client.previewRecovery(id);
  for (const action of ['retry', 'pause', 'resume', 'advance', 'pause', 'abort'] as const) {
    await client.act(id, action, reason);
    await service.tick();
    service.later(1);
  }
}

async function approve(sql: Sql, service: TestService): Promise<void> {
  const api = new TestApi(sql, () => service.now, { requireApproval: true });
  const target = { target_type: 'group' as const, target_filter: { groups: ['g'] } };
  const draft = { ...DRAFT, ...target, name: 'asked', firmware_version: '4.0.0' };
  const { rollout_id: id, approval } = await api.as(CALLER).createRollout(draft);
  await api.as(SECOND).decide(id, 'approve', { request_id: approval?.request_id ?? 0, reason });
  await service.tick();
}

async function holdDevices({ client }: TestApi): Promise<void> {
  await client.previewHold();
  const { hold_id: hold } = await client.setHold({ scope: 'group', group_name: 'g', reason });
  await client.hold(hold);
  await client.removeHold(hold, reason);
}

async function knowIssues({ client }: TestApi): Promise<void> {
  const issue = { device_model: 'esp32-s3', found_version: '3.0.0', title: 'x', filter: { groups: ['g'] } };
  await client.previewIssue(issue);
  const { issue_id: fixed } = await client.addIssue(issue);
  await client.issues();
  await client.issue(fixed, '4.0.0');
  await client.fixIssue(fixed, '4.0.0');
  await client.withdrawIssue(fixed, reason);
}

async function readEverything({ client }: TestApi): Promise<void> {
  await client.info();
  await client.fleet();
  await client.fleetHistory(24);
  await client.events({ after: 0 });
  await client.rejectedMessages();
  await client.devices();
  await client.groups();
  await client.allowedDevices();
  await client.holds();
  await client.device('e0');
  await client.deviceTimeline('e0');
  await client.explain('e0');
  await client.releases();
  await client.release('esp32-s3', '3.0.0');
  await client.releaseHealth('esp32-s3', '3.0.0');
  await client.rejectedUploads();
  const { items } = await client.rollouts();
  for (const { rollout_id: id } of items) {
    await client.progress(id);
    await client.updates(id);
    await client.decisions(id);
  }
}

async function revoke({ client }: TestApi, service: TestService): Promise<void> {
  await client.revokeDevice('e4', reason);
  await client.reinstateDevice('e4', reason);
  await client.updateDevice('e7', { firmware_version: '5.0.0' });
  await service.tick();
  await client.revokeRelease('esp32-s3', '5.0.0', reason);
  await service.tick();
}

async function orchestrate(sql: Sql, now: Date): Promise<void> {
  await hasWork(sql, now, { revokesCertificates: true });
  await recordQueues(sql, [{ queue: 'ota', messages: 0 }], now);
  await runTickAlone(sql, 'me', now, async () => undefined);
  const events = await loadUnpublishedEvents(sql, 10);
  for (const event of events) await loadHaltNotice(sql, event);
  await markPublished(sql, [1], now);
  await listNewCertificates(sql, 10);
  await recordCheckedCertificates(sql, [{ device_id: 'e8', certificate_id: 'c', revoked: ['b'] }], 'me', now);
  const acceptance = { deviceIds: ['e8'], model: null, reason, by: 'me' };
  await acceptIdentities(sql, acceptance, now);
  await stateAssumedModels(sql, acceptance, now);
  await recordSubscribedFamilies(sql, [{ deviceId: 'e8', version: '1.0.0', family: 'devices' }], now);
  await assessIdle(sql, now);
  await takeLease(sql, 'housekeeping', 'me', now, 1);
  await releaseLease(sql, 'housekeeping', 'me');
  await sampleFleetVersions(sql, now);
  await listStalledRollouts(sql, now);
  await listUnverified(sql);
  await sweepHistory(sql, 30, now);
  await recountSlots(sql);
}
