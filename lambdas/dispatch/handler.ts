import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { parseJson } from '../../core/ingest/index.ts';
import type { CommandFamily } from '../../core/protocol/index.ts';
import { trustRule } from '../../core/release-policy/index.ts';
import { ENV, type UpdateId } from '../../core/util/index.ts';
import { openDatabase } from '../shared/database.ts';
import { readModels, readSigning, requireEnv } from '../shared/environment.ts';
import { listSubscriptions } from '../shared/list-subscriptions.ts';
import { logger } from '../shared/log.ts';
import { count } from '../shared/metrics.ts';
import { readSecret } from '../shared/secrets.ts';
import { type CommandMaker, commandMaker } from './command-maker.ts';
import { dispatchUpdates } from './dispatch-updates.ts';
import { learnFamilies } from './learn-families.ts';
import { sendCommand } from './send-command.ts';

const database = openDatabase();
const models = readModels();
const trust = trustRule(models, readSigning());

/** The only function that sends commands. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const ids = parseUpdateIds(event);
  const outcomes = await dispatchUpdates(database, ids, new Date(), trust, await makeCommandMaker(), sendCommand);
  logger.info('commands', { requested: ids.length, outcomes: outcomes.map(({ id, outcome }) => ({ id, outcome })) });
  count({ deniedCommands: outcomes.filter(({ outcome }) => outcome === 'denied').length });
  return { batchItemFailures: [] };
}

function parseUpdateIds(event: SQSEvent): UpdateId[] {
  const ids = event.Records.map(({ body }) => (parseJson(body) as { updateId?: unknown } | undefined)?.updateId);
  return [...new Set(ids.filter((id): id is number => Number.isSafeInteger(id)))];
}

/** The secret is cached; a failed read is repeated. */
async function makeCommandMaker(): Promise<CommandMaker> {
  const linkSecret = await readSecret(requireEnv(ENV.linkSecretArn));
  const topicPrefix = requireEnv(ENV.topicPrefix);
  const makeCommands = commandMaker({
    linkSecret,
    linkBaseUrl: requireEnv(ENV.linkBaseUrl),
    topicPrefix,
    defaultFamily: requireEnv(ENV.commandFamily) as CommandFamily,
    models,
    bucket: requireEnv(ENV.firmwareBucket),
  });
  return async (updates, now) =>
    makeCommands(await learnFamilies(database, updates, topicPrefix, listSubscriptions, now), now);
}
