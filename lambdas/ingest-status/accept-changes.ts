import type { Sql } from '../../core/db/index.ts';
import { acceptIdentities } from '../../core/devices/index.ts';
import type { StatusMessage } from './status-batch.ts';

/** Accepts the model and the MAC address that the devices of these statuses report, in place of an operator. */
export async function acceptChanges(sql: Sql, statuses: readonly StatusMessage[], now: Date): Promise<void> {
  const deviceIds = [...new Set(statuses.map(({ report }) => report.deviceId))];
  await acceptIdentities(sql, { deviceIds, reason: 'identityChanges is set to accept', by: 'settings' }, now);
}
