import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reserveSends, storeSendOutcomes } from '../../../core/updates/dispatch-updates.ts';
import { expireUpdates } from '../../../core/updates/expire-updates.ts';
import { sha256 } from '../../../core/util/index.ts';
import { type FamilyReport, storeReports } from '../../../lambdas/ingest-ota/store-reports.ts';
import { type Status, storeStatuses } from '../../../lambdas/ingest-status/store-statuses.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addDevices, addRelease, addRollout } from '../../support/rows.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db?.close());

const sentAt = new Date('2026-03-01T12:00:00Z');
const at = (seconds: number) => new Date(sentAt.getTime() + seconds * 1000);

/** A message of a device about its only command, in the order of sending, with seconds since the command. */
interface Saying {
  readonly second: number;
  readonly said:
    | { readonly kind: 'status'; readonly version: string; readonly uptimeSeconds: number | null }
    | { readonly kind: 'accepted' | 'downloading' | 'installing' }
    | { readonly kind: 'result'; readonly code: number };
}

const status = (version: string, uptimeSeconds: number | null) => ({ kind: 'status', version, uptimeSeconds }) as const;

/** Message sequences of devices; any message may be lost. `wait` is how long the reboot takes. */
const STORIES = {
  'boots and stays up': (wait: number) => [
    { second: 101 + wait, said: status('2.0.0', 2) },
    { second: 161 + wait, said: status('2.0.0', 62) },
  ],
  'boots the old image': (wait: number) => [
    { second: 121 + wait, said: status('1.0.0', 2) },
    { second: 181 + wait, said: status('1.0.0', 62) },
  ],
  'boots, runs for a while and rolls back': (wait: number) => [
    { second: 101 + wait, said: status('2.0.0', 2) },
    { second: 141 + wait, said: status('1.0.0', 3) },
    { second: 201 + wait, said: status('1.0.0', 63) },
  ],
  'reports another version': (wait: number) => [{ second: 121 + wait, said: status('2.0.0-dev', 2) }],
  'is slow to reboot': (wait: number) => [
    { second: 110, said: status('1.0.0', 5_110) },
    { second: 125 + wait, said: status('1.0.0', 5_125 + wait) },
  ],
  'is slow to reboot, and then runs it': (wait: number) => [
    { second: 125 + wait, said: status('1.0.0', 5_125 + wait) },
    { second: 160 + wait, said: status('2.0.0', 4) },
  ],
} satisfies Record<string, (wait: number) => Saying[]>;
type Story = keyof typeof STORIES;

const histories = fc
  .record({
    story: fc.constantFrom(...(Object.keys(STORIES) as Story[])),
    wait: fc.integer({ min: 0, max: 60 }),
    code: fc.constantFrom(0, 0, 0, 0, 2, 4),
    isLost: fc.infiniteStream(fc.integer({ min: 0, max: 9 }).map((n) => n === 0)),
  })
  .map(({ story, wait, code, isLost }) => {
    const before: Saying[] = [
      { second: 1, said: { kind: 'accepted' } },
      { second: 20, said: { kind: 'downloading' } },
      { second: 45, said: status('1.0.0', 5_045) },
      { second: 90, said: { kind: 'installing' } },
      { second: 100, said: { kind: 'result', code } },
      // The old image reports until the reboot.
      { second: 102, said: status('1.0.0', 5_102) },
    ];
    const after = code === 0 ? STORIES[story](wait) : [{ second: 160, said: status('1.0.0', 5_160) }];
    return { story, code, messages: [...before, ...after].filter(() => !isLost.next().value) };
  });

type Message = Status | FamilyReport;
const isStatus = (message: Message): message is Status => 'receivedAt' in message;

function toMessage({ second, said }: Saying): Message {
  const receivedAt = at(second);
  const payloadHash = sha256(JSON.stringify(said));
  if (said.kind === 'status') {
    const { version, uptimeSeconds } = said;
    return {
      receivedAt,
      payloadHash,
      report: {
        deviceId: 'd0',
        clientId: 'd0',
        macAddress: null,
        macReceivedAt: null,
        model: 'esp32-s3',
        modelReceivedAt: receivedAt,
        version,
        versionReceivedAt: receivedAt,
        online: true,
        reachabilityReceivedAt: receivedAt,
        lastSeen: receivedAt,
        uptimeSeconds,
        signalStrengthDbm: null,
        status: {},
      },
    };
  }
  const isProgress = said.kind === 'downloading' || said.kind === 'installing';
  const report = {
    deviceId: 'd0',
    type: said.kind === 'result' ? said.kind : isProgress ? ('progress' as const) : ('accepted' as const),
    receivedAt,
    payloadHash,
    payload:
      said.kind === 'result' ? { success: said.code === 0, resultCode: said.code, message: 'said' } : { percent: 50 },
    version: isProgress ? null : '2.0.0',
    state: isProgress ? (said.kind as 'downloading' | 'installing') : null,
  };
  return { family: 'devices', clientId: 'd0', report };
}

/** A device on 1.0.0 that was sent 2.0.0 at 12:00:00. */
async function sendCommand(outcome: 'acknowledged' | 'unconfirmed', maxAttempts: number): Promise<void> {
  await db.empty();
  await addDevices(db.app, 1);
  await addRelease(db.app, '2.0.0');
  const rollout = await addRollout(db.app, 'r', '2.0.0', { max_attempts: maxAttempts });
  await db.app.query('INSERT INTO rollout_runtime (rollout_id, start_limit) VALUES (:rollout, NULL)', { rollout });
  await db.app.query(
    `INSERT INTO device_update_status (device_id, rollout_id, release_id, firmware_version, created_at)
     VALUES ('d0', :rollout, 1, '2.0.0', :now::timestamptz)`,
    { rollout, now: sentAt },
  );
  await reserveSends(db.app, rollout, [{ id: 1, family: 'devices', delivery: 'redirect' }], sentAt);
  await storeSendOutcomes(db.app, [{ id: 1, attempt: 1, outcome, message: null, retryAt: null }], sentAt);
}

/** Each batch comes from one queue, as a function receives it. Everything is delivered before the deadlines. */
async function deliver(messages: readonly Message[], sizes: readonly number[]): Promise<void> {
  let rest = messages;
  for (let n = 0; rest.length > 0; n++) {
    const batch = rest.slice(0, sizes[n % sizes.length]);
    rest = rest.slice(batch.length);
    await storeStatuses(db.app, batch.filter(isStatus), at(300));
    const reports = batch.filter((message): message is FamilyReport => !isStatus(message));
    if (reports.length > 0) await storeReports(db.app, reports);
  }
}

async function readVerdict(): Promise<unknown> {
  const [update] = await db.app.query(
    `SELECT status, attempt, result_code, error_message, installed_at, booted_at, unexpected_version, completed_at,
       not_before, next_family, next_delivery FROM device_update_status WHERE id = 1`,
  );
  const attempts = await db.app.query('SELECT attempt, status, reason, ended_at FROM update_attempts ORDER BY attempt');
  return { update, attempts };
}

test(
  'the verdict does not depend on order, batches or duplicates of messages in the two queues',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        histories.chain(({ story, code, messages }) =>
          fc.record({
            story: fc.constant(story),
            code: fc.constant(code),
            inOrder: fc.constant(messages),
            delivered: fc.shuffledSubarray([...messages, ...messages], { minLength: messages.length * 2 }),
          }),
        ),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
        fc.constantFrom('acknowledged' as const, 'unconfirmed' as const),
        fc.constantFrom(1, 3),
        async ({ story, code, inOrder, delivered }, sizes, outcome, maxAttempts) => {
          await sendCommand(outcome, maxAttempts);
          await deliver(inOrder.map(toMessage), [1]);
          await expireUpdates(db.app, at(3_000));
          const verdict = await readVerdict();
          await sendCommand(outcome, maxAttempts);
          await deliver(delivered.map(toMessage), sizes);
          await expireUpdates(db.app, at(3_000));
          expect(await readVerdict()).toEqual(verdict);
          if (code === 0 && story.startsWith('is slow')) {
            expect(verdict).not.toMatchObject({ update: { status: 'rolled_back' } });
          }
        },
      ),
      { numRuns: Number(process.env.PAKU_OTA_PROPERTY_RUNS ?? 24) },
    );
  },
  10 * 60_000,
);
