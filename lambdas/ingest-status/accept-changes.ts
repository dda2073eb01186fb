import type { Sql } from '../../core/db/index.ts';
import { acceptIdentities, stateAssumedModels } from '../../core/devices/index.ts';
import type { StatusMessage } from './status-batch.ts';

/** Accepts the model and the MAC address that the devices of these statuses report, in place of an operator. */
export async function acceptChanges(sql: Sql, statuses: readonly StatusMessage[], now: Date): Promise<void> {
  const deviceIds = idsOf(statuses);
  await acceptIdentities(
    sql,
    { deviceIds, model: null, reason: 'identityChanges is set to accept', by: 'settings' },
    now,
  );
}

/** States the model of the settings for those devices of these statuses whose model was never stated. */
export async function stateDefaultModel(
  sql: Sql,
  statuses: readonly StatusMessage[],
  model: string,
  now: Date,
): Promise<void> {
  const reason = `defaultModel is set to ${model}`;
  await stateAssumedModels(sql, { deviceIds: idsOf(statuses), model, reason, by: 'settings' }, now);
}

const idsOf = (statuses: readonly StatusMessage[]) => [...new Set(statuses.map(({ report }) => report.deviceId))];
