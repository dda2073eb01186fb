import { findNoLongerTargeted } from '../../core/assignment/index.ts';
import type { Sql } from '../../core/db/index.ts';
import { groupBy } from '../../core/db/index.ts';
import { evaluateVersion } from '../../core/protocol/index.ts';
import { type TrustRule, whyNotSendable } from '../../core/release-policy/index.ts';
import {
  closePendingUpdates,
  loadPendingUpdates,
  type PendingUpdate,
  reserveSends,
  type SendOutcome,
  storeSendOutcomes,
  type UpdateClosing,
} from '../../core/updates/index.ts';
import type { RolloutId, UpdateId } from '../../core/util/index.ts';
import type { CommandMaker, PlannedCommand } from './command-maker.ts';

/**
 * Sends one command once.
 * @returns the outcome of the send
 */
export type Send = (command: PlannedCommand, attempt: number, now: Date) => Promise<SendOutcome>;

/**
 * Sends the commands of the given updates: reserves first, sends second, stores the outcome third. If a step fails, no
 * command is sent twice in one attempt; the deadline ends the attempt.
 * @returns the outcomes
 */
export async function dispatchUpdates(
  sql: Sql,
  updateIds: readonly UpdateId[],
  now: Date,
  trust: TrustRule,
  makeCommands: CommandMaker,
  send: Send,
): Promise<SendOutcome[]> {
  const updates = await loadPendingUpdates(sql, updateIds, now);
  const noLongerTargeted = await findAllNoLongerTargeted(sql, updates);
  const updatesToSend = updates.map((update) => ({
    update,
    closing: noLongerTargeted.get(update.id) ?? closingFor(update, trust, now),
  }));
  const { planned, unsendable } = await makeCommands(
    updatesToSend.filter(({ closing }) => closing === undefined).map(({ update }) => update),
    now,
  );
  await closePendingUpdates(
    sql,
    [
      ...updatesToSend.flatMap(({ closing }) => closing ?? []),
      ...unsendable.map(({ id, message }): UpdateClosing => ({ id, status: 'failed', message })),
    ],
    now,
  );
  const outcomes: SendOutcome[] = [];
  for (const [rolloutId, commands] of groupBy(planned, (command) => command.rolloutId)) {
    outcomes.push(...(await sendAll(sql, rolloutId, commands, now, send)));
  }
  return outcomes;
}

async function findAllNoLongerTargeted(
  sql: Sql,
  updates: readonly PendingUpdate[],
): Promise<Map<UpdateId, UpdateClosing>> {
  const message =
    'not sent: the rollout no longer targets this device, because one of them, or the identity of the device, was changed';
  const noLongerTargeted = new Map<UpdateId, UpdateClosing>();
  for (const [rolloutId, updatesToSend] of groupBy(updates, (update) => update.rollout_id)) {
    for (const id of await findNoLongerTargeted(sql, rolloutId, updatesToSend)) {
      noLongerTargeted.set(id, { id, status: 'canceled', message, mayReturn: true });
    }
  }
  return noLongerTargeted;
}

async function sendAll(
  sql: Sql,
  rolloutId: RolloutId,
  commands: readonly PlannedCommand[],
  now: Date,
  send: Send,
): Promise<SendOutcome[]> {
  const reserved = await reserveSends(sql, rolloutId, commands, now);
  const attempts = new Map(reserved.map(({ id, attempt }) => [id, attempt]));
  const outcomes = await Promise.all(
    commands.flatMap((command) => {
      const attempt = attempts.get(command.id);
      return attempt === undefined ? [] : send(command, attempt, now);
    }),
  );
  await storeSendOutcomes(sql, outcomes, now);
  return outcomes;
}

/**
 * Says why an update must not be sent: its release may have been revoked, or is not trusted any more, or the device may have been updated by other
 * means since the assignment. A device is never taken back to a stepping stone.
 * @returns undefined if the update may be sent
 */
function closingFor(update: PendingUpdate, trust: TrustRule, now: Date): UpdateClosing | undefined {
  const { id, attempt, current_firmware_version: current, firmware_version: target } = update;
  const notSendable = whyNotSendable({ ...update, version: target, device_model: update.release_model }, trust, now);
  // A key can be trusted again, and a release can be signed again; then the resumed rollout assigns the device again.
  const mayReturn = update.revoked_reason === null;
  if (notSendable !== undefined) return { id, status: 'canceled', message: `not sent: ${notSendable}`, mayReturn };
  const verdict = evaluateVersion(current, {
    target,
    minVersion: update.min_version,
    allowDowngrade: update.allow_downgrade && !update.is_stepping_stone,
    includeUnknown: update.include_unknown,
    // They decided when the device was assigned.
    counters: [],
  });
  if (verdict === 'eligible') return undefined;
  if (verdict !== 'on-target') return { id, status: 'canceled', message: `not sent: the device now runs ${current}` };
  return attempt === 0
    ? { id, status: 'canceled', message: `not sent: the device already runs ${target}` }
    : { id, status: 'success', message: `the device runs ${target}, although it reported nothing about the update` };
}
