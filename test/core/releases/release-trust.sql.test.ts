import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { explainDevice, NO_RULES, previewRollout } from '../../../core/explain/index.ts';
import { parsePublicKey } from '../../../core/image/index.ts';
import { planRecovery } from '../../../core/recovery/index.ts';
import { signingSchema, trustRule } from '../../../core/release-policy/index.ts';
import { getRollout, loadRolloutRuntime, resumeRollout } from '../../../core/rollouts/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';
import { TestService } from '../../support/service.ts';
import { signingKeys } from '../../support/signing-keys.ts';

const { p256, otherP256 } = signingKeys();
const [pem, otherPem] = [p256, otherP256].map(({ publicKey }) =>
  publicKey.export({ type: 'spki', format: 'pem' }).toString(),
) as [string, string];
const KEY = parsePublicKey(pem).digest;
const trusting = (...trustedPublicKeys: string[]) =>
  trustRule({}, signingSchema.parse({ requireSignedFirmware: true, trustedPublicKeys }));
const WITHDRAWN = `release 2.0.0 is not trusted: its signing key ${KEY} was withdrawn`;
const AT_ONCE = { stages: [], failure_threshold: 1 };

let db: TestDatabase;
let service: TestService;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  await db.empty();
  for (const version of ['1.0.0', '2.0.0']) await addRelease(db.app, version);
  await db.app.query('UPDATE firmware_releases SET is_signed = true, signing_key = :key', { key: KEY });
  service = new TestService(db.app);
  service.trust = trusting(pem);
  await addDevices(db.app, 2);
});

const withdraw = () => {
  service.trust = trusting(otherPem);
};
const expireIn = (minutes: number) =>
  db.app.query("UPDATE firmware_releases SET signature_expires_at = :until::timestamptz WHERE version = '2.0.0'", {
    until: new Date(service.now.getTime() + minutes * 60_000),
  });
const rollOut = () => addRollout(db.app, 'to 2.0.0', '2.0.0', AT_ONCE);
const updates = () =>
  db.app.query<{ device_id: string; status: string; error_message: string | null }>(
    'SELECT device_id, status, error_message FROM device_update_status ORDER BY id',
  );

describe('a release whose key was withdrawn after its registration', () => {
  test('is not assigned: its rollout halts with the reason', async () => {
    const id = await rollOut();
    withdraw();
    expect(await service.tick()).toEqual([]);
    expect(await updates()).toEqual([]);
    expect(await getRollout(db.app, String(id))).toMatchObject({ state: 'halted', paused_reason: WITHDRAWN });
  });

  test('is not sent to a device that was assigned before', async () => {
    service.absent.add('d0').add('d1');
    await rollOut();
    await service.tick();
    service.absent.clear();
    withdraw();
    await service.status('d0', '1.0.0');
    expect(service.sent).toEqual([]);
    expect((await updates())[0]).toMatchObject({ status: 'canceled', error_message: `not sent: ${WITHDRAWN}` });
  });

  test('is not served to a device that has its command, which counts as no failure', async () => {
    await rollOut();
    await service.tick();
    withdraw();
    expect(await service.fetch('d0')).toBe('distrusted');
    expect((await updates())[0]).toMatchObject({
      status: 'canceled',
      error_message: `the release is not trusted: its signing key ${KEY} was withdrawn`,
    });
  });

  test('is not served to a device that was downloading it', async () => {
    await rollOut();
    await service.tick();
    expect(await service.fetch('d0')).toBe('open');
    withdraw();
    expect(await service.fetch('d0')).toBe('distrusted');
  });

  test('is sent again after its key is trusted again and the rollout is resumed', async () => {
    service.absent.add('d0').add('d1');
    const id = await rollOut();
    await service.tick();
    service.absent.clear();
    withdraw();
    await service.status('d0', '1.0.0');
    await service.tick();
    service.trust = trusting(otherPem, pem);
    await resumeRollout(db.app, { rolloutId: id, reason: 'trusted again', by: 'a person' }, service.now);
    for (let ticks = 0; ticks < 2; ticks++) await service.tick();
    expect(service.sent.map(({ deviceId }) => deviceId).sort()).toEqual(['d0', 'd1']);
  });

  test('is named by the preview and by the explanation of a device', async () => {
    const id = await rollOut();
    withdraw();
    const rules = { ...NO_RULES, trust: service.trust, now: service.now };
    const rollout = await loadRolloutRuntime(db.app, id);
    if (rollout === undefined) throw new Error('there is no rollout');
    expect(await previewRollout(db.app, { ...rollout, isSaved: true }, rules)).toMatchObject({
      willBeUpdated: 0,
      willNot: [{ reason: WITHDRAWN, devices: 2 }],
    });
    expect(await explainDevice(db.app, id, 'd0', service.now, service.trust)).toMatchObject({
      rule: WITHDRAWN,
      next: 'the next tick halts the rollout',
    });
  });

  test('is no release that devices are sent back to', async () => {
    const id = await rollOut();
    const devices = await service.tick();
    await service.succeed(...devices);
    const bad = { rollout_id: id, name: 'to 2.0.0', firmware_version: '2.0.0', device_model: 'esp32-s3' };
    expect((await planRecovery(db.app, bad, service.trust, service.now)).parts).toHaveLength(1);
    withdraw();
    const { parts, cannot } = await planRecovery(db.app, bad, service.trust, service.now);
    expect(parts).toEqual([]);
    expect(cannot[0]?.reason).toBe(`release 1.0.0 is not trusted: its signing key ${KEY} was withdrawn`);
  });
});

describe('a release whose signature expires', () => {
  test('is not sent or served from that second on', async () => {
    service.absent.add('d1');
    const id = await rollOut();
    await expireIn(10);
    expect(await service.tick()).toEqual(['d0']);
    service.later(10);
    service.absent.clear();
    await service.status('d1', '1.0.0');
    expect(service.sent.map(({ deviceId }) => deviceId)).toEqual(['d0']);
    expect(await service.fetch('d0')).toBe('distrusted');
    await service.tick();
    const { state, paused_reason } = (await getRollout(db.app, String(id))) ?? {};
    expect([state, paused_reason]).toEqual([
      'halted',
      `release 2.0.0 is not trusted: its signature expired on ${service.now.toISOString()}`,
    ]);
  });

  test('is no stepping stone any more', async () => {
    await addRelease(db.app, '3.0.0', { minVersion: '2.0.0' });
    await db.app.query('UPDATE firmware_releases SET signing_key = :key', { key: KEY });
    await addRollout(db.app, 'to 3.0.0', '3.0.0', { ...AT_ONCE, stepping_stones: ['2.0.0'] });
    await expireIn(0);
    expect(await service.tick()).toEqual([]);
    await expireIn(10);
    expect(await service.tick()).toEqual(['d0', 'd1']);
  });
});

test('an unsigned release is not sent once signatures are required', async () => {
  await db.app.query('UPDATE firmware_releases SET signing_key = NULL, is_signed = false');
  const id = await rollOut();
  expect(await service.tick()).toEqual([]);
  expect(await getRollout(db.app, String(id))).toMatchObject({
    paused_reason: 'release 2.0.0 is not trusted: no trusted key signed it',
  });
});
