import {
  DescribeCertificateCommand,
  DescribeThingCommand,
  IoTClient,
  ListPrincipalThingsCommand,
  ListThingPrincipalsCommand,
  ResourceNotFoundException,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasWork } from '../../../core/orchestrator/index.ts';
import { parseStatusBatch, storeStatusBatch } from '../../../lambdas/ingest-status/status-batch.ts';
import { revokeOlderCertificates } from '../../../lambdas/orchestrate/revoke-older-certificates.ts';
import { TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { mockClient } from '../../support/mock-client.ts';
import { STATUS_SENDERS } from '../../support/senders.ts';

const iot = mockClient(IoTClient);
const DEVICE = 'van-1';
const arn = (id: string) => `arn:aws:iot:eu-west-1:1:cert/${id}`;
const [FIRST, SECOND, THIRD] = ['1', '2', '3'].map((digit) => digit.repeat(64)) as [string, string, string];

let db: TestDatabase;
let now: Date;
let client: TestApi['client'];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

/** The certificates of the device in AWS IoT, and the seconds of their creation. */
function registry(certificates: Readonly<Record<string, number>>, thingTypeName = 'our-type') {
  iot.reset();
  iot.on(ListThingPrincipalsCommand).resolves({ principals: Object.keys(certificates).map(arn) });
  iot.on(DescribeThingCommand).resolves({ thingTypeName });
  iot.on(ListPrincipalThingsCommand).resolves({ things: [DEVICE] });
  for (const [certificateId, seconds] of Object.entries(certificates)) {
    const certificateDescription = { status: 'ACTIVE', creationDate: new Date(seconds * 1000) } as const;
    iot.on(DescribeCertificateCommand, { certificateId }).resolves({ certificateDescription });
  }
  iot.on(UpdateCertificateCommand).resolves({});
}

beforeEach(async () => {
  await db.empty();
  now = new Date('2026-03-02T12:00:00Z');
  client = new TestApi(db.roles.control, () => now).client;
});

/** Stores a status of the device that was published with a certificate. */
async function say(principal: string | undefined, said: object = {}): Promise<void> {
  await store([message(principal, said)]);
}

/** A status of the device in the form in which it arrives. */
function message(principal: string | undefined, said: object = {}): { readonly body: string } {
  const body = JSON.stringify({
    payload: Buffer.from(JSON.stringify({ firmware_version: '1.0.0', ...said })).toString('base64'),
    topic: `paku/edge/${DEVICE}/status`,
    received_at: now.getTime(),
    client_id: DEVICE,
    principal,
  });
  now = new Date(now.getTime() + 60_000);
  return { body };
}

const store = async (batch: readonly { readonly body: string }[]) => {
  await storeStatusBatch(db.roles.ingest, parseStatusBatch(batch, STATUS_SENDERS, now), now);
};

const hasNew = async () =>
  (await db.app.query<{ is_new: boolean }>('SELECT certificate_is_new AS is_new FROM devices'))[0]?.is_new;
/** Runs the step of the tick. @returns the ids of the certificates that it revoked */
async function check(): Promise<unknown[]> {
  await revokeOlderCertificates(db.roles.control, 'our-type', now);
  const revoked = iot.commandCalls(UpdateCertificateCommand).map(({ args }) => args[0].input);
  expect(revoked.filter(({ newStatus }) => newStatus !== 'REVOKED')).toEqual([]);
  return revoked.map(({ certificateId }) => certificateId);
}

describe('the first status with a certificate', () => {
  test('revokes the certificates of the device that were created before it, and those after it stay', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200, [THIRD]: 300 });
    await say(SECOND);
    expect(await check()).toEqual([FIRST]);
    expect((await client.deviceTimeline(DEVICE)).items).toContainEqual(
      expect.objectContaining({
        event: 'certificates_revoked',
        detail: { certificates: [FIRST], in_use: SECOND, by: 'orchestrator' },
      }),
    );
    expect((await client.fleet()).attention).toContainEqual({
      kind: 'certificates_revoked',
      message:
        'Device van-1 began to use another certificate, and its older certificate was revoked. If nobody gave it one, revoke the device',
      link: '/devices/van-1',
    });
  });

  test('of the oldest revokes nothing: a stolen certificate cannot revoke its successor', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200 });
    await say(FIRST);
    expect(await check()).toEqual([]);
    await say(SECOND);
    expect(await check()).toEqual([FIRST]);
    await say(FIRST);
    expect(await check()).toEqual([FIRST]);
  });

  test.each([
    ['one after the other', [[SECOND], [FIRST]]],
    ['in one batch', [[SECOND, FIRST]]],
    ['before it in one batch', [[FIRST, SECOND, FIRST]]],
  ])('counts although a stolen certificate reports until the next tick: %s', async (_, batches) => {
    registry({ [FIRST]: 100, [SECOND]: 200 });
    await say(FIRST);
    expect(await check()).toEqual([]);
    for (const batch of batches) await store(batch.map((principal) => message(principal)));
    expect(await check()).toEqual([FIRST]);
  });

  test('counts although a status with a stolen certificate, which came later, was processed before', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200 });
    await say(FIRST);
    expect(await check()).toEqual([]);
    const late = message(SECOND);
    await say(FIRST);
    await store([late]);
    expect(await check()).toEqual([FIRST]);
  });

  test('is work for the orchestrator once, and none where the settings say so', async () => {
    registry({ [FIRST]: 100 });
    await db.app.query(`INSERT INTO leases (name, holder, expires_at) VALUES ('housekeeping', 'me', 'infinity')`);
    await say(FIRST);
    expect(await hasWork(db.roles.control, now, { revokesCertificates: false })).toBe(false);
    expect(await hasWork(db.roles.control, now)).toBe(true);
    await check();
    expect(await hasWork(db.roles.control, now)).toBe(false);
    await say(FIRST);
    await say(undefined);
    await say(SECOND, { online: false });
    expect(await hasNew()).toBe(false);
    expect(await hasWork(db.roles.control, now)).toBe(false);
  });

  test('revokes none if the certificate does not belong to the thing: that of a bridge', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200 });
    await say(THIRD);
    expect(await check()).toEqual([]);
    expect(await hasNew()).toBe(false);
  });

  test('revokes none of a thing of another type', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200 }, 'their-type');
    await say(SECOND);
    expect(await check()).toEqual([]);
  });

  test('revokes none that another thing uses too, or that was created in the same second', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200, [THIRD]: 200 });
    iot.on(ListPrincipalThingsCommand).resolves({ things: [DEVICE, 'van-2'] });
    await say(THIRD);
    expect(await check()).toEqual([]);
  });

  test('is checked again at the next tick if AWS IoT fails, and a device without a thing is not', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200 });
    iot.on(UpdateCertificateCommand).rejectsOnce(new Error('throttled'));
    await say(SECOND);
    expect(await check()).toEqual([FIRST]);
    expect(await hasNew()).toBe(true);
    expect(await check()).toEqual([FIRST, FIRST]);
    expect(await hasNew()).toBe(false);
    await say(THIRD);
    iot
      .on(ListThingPrincipalsCommand)
      .rejects(new ResourceNotFoundException({ $metadata: {}, message: 'there is no such thing' }));
    await check();
    expect(await hasNew()).toBe(false);
  });

  test('of a revoked device revokes nothing', async () => {
    registry({ [FIRST]: 100, [SECOND]: 200 });
    await say(SECOND);
    await db.app.query('UPDATE devices SET revoked_at = now()');
    expect(await check()).toEqual([]);
  });
});

test.each([undefined, 'n/a', 'AROA:session', 'F'.repeat(64)])(
  'the principal %j is no certificate',
  async (principal) => {
    await say(principal);
    expect(await hasNew()).toBe(false);
  },
);
