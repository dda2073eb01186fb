import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { groupBy } from '../../core/batches.ts';
import { failOwedUpdates, readOwedUpdates, reserveSends, storeSendOutcomes } from '../../core/dispatching.ts';
import { ENV } from '../../core/env-names.ts';
import { parseJson } from '../../core/rule-message.ts';
import type { CommandFamily } from '../../core/topics.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, requireEnv } from '../shared/environment.ts';
import { logger } from '../shared/log.ts';
import { readSecret } from '../shared/secrets.ts';
import { type CommandMaker, commandMaker, type PlannedCommand } from './command-maker.ts';
import { sendCommand } from './send-command.ts';

const database = openDatabase();
let maker: Promise<CommandMaker> | undefined;

/**
 * The only function that sends. Reserve first, send second, store the outcome third: what dies in between is never sent
 * twice in one attempt; its deadline ends the attempt.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const now = new Date();
  maker ??= makeCommandMaker();
  const { planned, unsendable } = await (await maker)(await readOwedUpdates(database, readUpdateIds(event)));
  await failOwedUpdates(database, unsendable, now);
  for (const [rolloutId, commands] of groupBy(planned, ({ rolloutId }) => rolloutId)) {
    await sendAll(rolloutId, commands, now);
  }
  return { batchItemFailures: [] };
}

async function sendAll(rolloutId: number, commands: readonly PlannedCommand[], now: Date): Promise<void> {
  const reserved = await reserveSends(database, rolloutId, commands, now);
  const attempts = new Map(reserved.map(({ id, attempt }) => [id, attempt]));
  const sending = commands.flatMap((command) => {
    const attempt = attempts.get(command.id);
    return attempt === undefined ? [] : [sendCommand(command, attempt, now)];
  });
  const outcomes = await Promise.all(sending);
  await storeSendOutcomes(database, outcomes, now);
  logger.info('commands', {
    rolloutId,
    owed: commands.length,
    outcomes: outcomes.map(({ id, outcome }) => ({ id, outcome })),
  });
}

function readUpdateIds(event: SQSEvent): number[] {
  const ids = event.Records.map(({ body }) => (parseJson(body) as { updateId?: unknown } | undefined)?.updateId);
  return [...new Set(ids.filter((id): id is number => Number.isSafeInteger(id)))];
}

async function makeCommandMaker(): Promise<CommandMaker> {
  const linkSecret = await readSecret(requireEnv(ENV.linkSecretArn));
  return commandMaker({
    linkSecret,
    linkBaseUrl: requireEnv(ENV.linkBaseUrl),
    topicPrefix: requireEnv(ENV.topicPrefix),
    defaultFamily: requireEnv(ENV.commandFamily) as CommandFamily,
    models: readModels(),
    bucket: requireEnv(ENV.firmwareBucket),
  });
}
