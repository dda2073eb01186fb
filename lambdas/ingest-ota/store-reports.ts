import { inBatches, writeApart } from '../../core/batches.ts';
import type { Sql } from '../../core/database.ts';
import { recordCommandFamilies } from '../../core/devices.ts';
import type { SqlError } from '../../core/errors.ts';
import { judgeUpdates } from '../../core/judging.ts';
import { type Report, recordReports } from '../../core/reports.ts';
import { tallyEndedUpdates } from '../../core/tallying.ts';
import type { CommandFamily } from '../../core/topics.ts';

/** A report about an update, with the topic family on which it came. */
export interface FamilyReport {
  readonly family: CommandFamily;
  readonly clientId: string | null;
  readonly report: Report;
}

/**
 * Reports → ota_events → device_update_status. Can be repeated.
 * @returns those that the database does not take, each with its error
 */
export async function storeReports<Message extends FamilyReport>(
  sql: Sql,
  messages: readonly Message[],
  now: Date,
): Promise<{ updates: number; refused: readonly { row: Message; error: SqlError }[] }> {
  const { results, refused } = await writeApart(messages, async (batch) => {
    const updateIds: number[] = [];
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
  await judgeUpdates(sql, updateIds, now);
  await tallyEndedUpdates(sql);
  return { updates: updateIds.length, refused };
}
