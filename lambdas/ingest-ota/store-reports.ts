import type { Sql, SqlError } from '../../core/db/index.ts';
import { inBatches, writeIsolatingBadRows } from '../../core/db/index.ts';
import { recordCommandFamilies } from '../../core/devices/index.ts';
import type { RuleMessage } from '../../core/ingest/index.ts';
import type { CommandFamily } from '../../core/protocol/index.ts';
import { evaluateUpdates, oldestOf, type Report, recordReports, releaseSlots } from '../../core/updates/index.ts';
import type { UpdateId } from '../../core/util/index.ts';

/** A report about an update, with the topic family on which it was received. */
export interface FamilyReport extends Pick<RuleMessage, 'clientId'> {
  readonly family: CommandFamily;
  readonly report: Report;
}

/**
 * Stores reports in ota_events and updates device_update_status. Can be repeated.
 * @returns the number of changed updates, and the messages that the database refused, each with its error
 */
export async function storeReports<Message extends FamilyReport>(
  sql: Sql,
  messages: readonly Message[],
): Promise<{ updates: number; refused: readonly { row: Message; error: SqlError }[] }> {
  const { results, refused } = await writeIsolatingBadRows(messages, async (batch) => {
    const updateIds: UpdateId[] = [];
    for (const rows of inBatches(batch)) {
      await recordCommandFamilies(
        sql,
        rows.map(({ family, clientId, report: { deviceId, receivedAt } }) => ({
          deviceId,
          clientId,
          family,
          receivedAt,
        })),
      );
      const reports = rows.map(({ report }) => report);
      updateIds.push(...(await recordReports(sql, reports)));
    }
    return updateIds;
  });
  const updateIds = [...new Set(results)];
  await evaluateUpdates(sql, updateIds, oldestOf(messages.map(({ report }) => report)));
  await releaseSlots(sql);
  return { updates: updateIds.length, refused };
}
