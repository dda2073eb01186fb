import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Sql } from '../../../core/db/index.ts';
import { DatabaseUnavailableError } from '../../../core/db/index.ts';
import {
  allowDevices,
  CERTIFICATES_PER_ENTRY,
  findExtraCertificates,
  forbidDevices,
  listAllowedDevices,
  revokeDevice,
  USABLE_MINUTES,
} from '../../../core/devices/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices } from '../../support/rows.ts';

let db: TestDatabase;
let failure: Error | undefined;
// Tests the real function; only its database connection is replaced.
vi.mock('../../../lambdas/shared/database.ts', () => ({
  openDatabase: (): Sql => ({
    query: (sql, values) => (failure === undefined ? db.app.query(sql, values) : Promise.reject(failure)),
  }),
}));
const counted = vi.hoisted(() => vi.fn());
vi.mock('../../../lambdas/shared/metrics.ts', () => ({ count: counted }));
const { handler } = await import('../../../lambdas/provisioning-hook/handler.ts');

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());
beforeEach(async () => {
  failure = undefined;
  counted.mockClear();
  await db.empty();
});

const ANN = 'arn:aws:iam::1:user/ann';

const allow = (...ids: string[]) =>
  allowDevices(
    db.app,
    ids.map((id) => ({ device_id: id, device_model: null, mac_address: null })),
    ANN,
    new Date(),
  );

/** The request of AWS IoT (IoT developer guide, "Pre-provisioning hooks"). */
const request = (deviceId: unknown, clientId = `claim/${deviceId}`, claimCertificateId = 'the-claim') => ({
  claimCertificateId,
  certificateId: 'the-certificate',
  certificatePem: '-----BEGIN CERTIFICATE-----',
  templateArn: 'arn:aws:iot:eu-west-1:1:provisioningtemplate/PakuOta-devices',
  clientId,
  parameters: { DeviceId: deviceId, 'AWS::IoT::Certificate::Id': 'the-certificate' },
});
const ask = async (deviceId: unknown, clientId?: string) =>
  (await handler(request(deviceId, clientId))).allowProvisioning;

/** Makes the first use this many minutes older. */
const minutesLater = (minutes: number) =>
  db.app.query(
    'UPDATE allowed_devices SET provisioned_at = provisioned_at - make_interval(mins => :minutes::integer)',
    {
      minutes,
    },
  );

describe('a device with a provisioning claim', () => {
  test('gets an identity if it is on the list, and the timeline records it', async () => {
    await allow('ESP32-1');
    expect(await ask('ESP32-1')).toBe(true);
    expect(await ask('ESP32-2')).toBe(false);
    expect(await db.app.query('SELECT device_id, event, detail FROM device_timeline')).toEqual([
      {
        device_id: 'ESP32-1',
        event: 'device_provisioned',
        detail: { certificateId: 'the-certificate', claimCertificateId: 'the-claim' },
      },
    ]);
  });

  test('may repeat its request for a limited time, because responses get lost', async () => {
    await allow('ESP32-1');
    expect(await ask('ESP32-1')).toBe(true);
    await minutesLater(USABLE_MINUTES - 1);
    expect(await ask('ESP32-1')).toBe(true);
    await minutesLater(2);
    expect(await ask('ESP32-1')).toBe(false);
    await allow('ESP32-1');
    expect(await ask('ESP32-1')).toBe(true);
  });

  test('is refused by another claim than the one that asked first, until it is allowed again', async () => {
    const askBy = async (claim: string) =>
      (await handler(request('ESP32-1', 'claim/ESP32-1', claim))).allowProvisioning;
    await allow('ESP32-1');
    expect([await askBy('first'), await askBy('second'), await askBy('first')]).toEqual([true, false, true]);
    await allow('ESP32-1');
    expect([await askBy('second'), await askBy('first')]).toEqual([true, false]);
  });

  test('gets a limited number of certificates by one entry, and the entry counts them', async () => {
    await allow('ESP32-1');
    const answers = [];
    for (let n = 0; n < CERTIFICATES_PER_ENTRY + 5; n++) answers.push(await ask('ESP32-1'));
    expect(answers.filter(Boolean)).toHaveLength(CERTIFICATES_PER_ENTRY);
    expect(await db.app.query('SELECT certificates FROM allowed_devices')).toEqual([
      { certificates: CERTIFICATES_PER_ENTRY },
    ]);
  });

  test('that gets a second certificate raises an alarm, and is shown until its entry is removed', async () => {
    await allow('ESP32-1', 'ESP32-2');
    await ask('ESP32-1');
    await ask('ESP32-2');
    expect(counted.mock.calls).toEqual([[{ extraCertificates: 0 }], [{ extraCertificates: 0 }]]);
    expect(await findExtraCertificates(db.app)).toBeUndefined();
    await ask('ESP32-2');
    expect(counted).toHaveBeenLastCalledWith({ extraCertificates: 1 });
    expect(await findExtraCertificates(db.app)).toMatchObject({ device_id: 'ESP32-2', certificates: 2, devices: 1 });
    await forbidDevices(db.app, ['ESP32-2']);
    expect(await findExtraCertificates(db.app)).toBeUndefined();
  });

  test('is refused once it was revoked, even if it is on the list', async () => {
    await addDevices(db.app, 1);
    await revokeDevice(db.app, { deviceId: 'd0', reason: 'stolen', by: ANN }, new Date());
    await allow('d0');
    expect(await ask('d0')).toBe(false);
  });

  test('is refused when it was removed from the list', async () => {
    await allow('ESP32-1', 'ESP32-2');
    expect(await forbidDevices(db.app, ['ESP32-1', 'ESP32-9'])).toBe(1);
    expect([await ask('ESP32-1'), await ask('ESP32-2')]).toEqual([false, true]);
    expect(await listAllowedDevices(db.app, null, 10)).toMatchObject([{ device_id: 'ESP32-2', allowed_by: ANN }]);
  });

  test('is refused when it connects with another device’s name', async () => {
    await allow('ESP32-1');
    expect(await ask('ESP32-1', 'claim/ESP32-2')).toBe(false);
    expect(await ask('ESP32-1', 'ESP32-1')).toBe(false);
  });

  test.each([
    ['%'],
    ['*'],
    [''],
    ["' OR true --"],
    ['a/b'],
    ['x'.repeat(65)],
    [7],
    [null],
    [['ESP32-1']],
    ['ESP32-1\0'],
  ])('is refused as %j, whatever is on the list', async (deviceId) => {
    await allow('ESP32-1');
    expect(await ask(deviceId)).toBe(false);
  });

  test.each([[{}], [null], ['text'], [{ parameters: {} }], [{ ...request('ESP32-1'), parameters: undefined }]])(
    'is refused with %j',
    async (event) => {
      await allow('ESP32-1');
      expect(await handler(event)).toEqual({ allowProvisioning: false });
    },
  );

  test('gets nothing while the database is paused: the function fails, which AWS IoT treats as a refusal', async () => {
    await allow('ESP32-1');
    failure = new DatabaseUnavailableError(2_000, new Error('resuming'));
    await expect(ask('ESP32-1')).rejects.toThrow(DatabaseUnavailableError);
    failure = undefined;
    expect(await ask('ESP32-1')).toBe(true);
  });
});
