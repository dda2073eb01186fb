import type { Sql } from '../db/index.ts';

/**
 * @param counted columns that are summed
 * @param affected columns by which an index finds the rows to compact
 * @param other further columns that identify a sum
 */
const compactStatement = (
  table: string,
  counted: readonly string[],
  affected: readonly string[],
  other: readonly string[],
) => {
  const sums = counted.map((column) => `sum(${column})`);
  const group = [...affected, ...other].join(', ');
  return `WITH affected AS MATERIALIZED (
       SELECT DISTINCT ${affected.join(', ')} FROM ${table} WHERE NOT is_compacted
     ), entries AS (
       DELETE FROM ${table} AS l USING affected AS t WHERE ${affected.map((key) => `l.${key} = t.${key}`).join(' AND ')}
       RETURNING l.*
     )
     INSERT INTO ${table} (${group}, ${counted.join(', ')}, is_compacted)
     SELECT ${group}, ${sums.join(', ')}, true FROM entries GROUP BY ${group}
     HAVING ${sums.map((sum) => `${sum} <> 0`).join(' OR ')}`;
};

const COMPACT_UPDATES = compactStatement(
  'update_counts',
  ['updates'],
  ['rollout_id'],
  ['generation', 'stage', 'firmware_version', 'state', 'cause', 'is_started', 'is_reclaimable', 'reason'],
);
const COMPACT_OUTCOMES = compactStatement('outcome_counts', ['updates'], ['rollout_id', 'ended_at'], ['is_success']);
const COMPACT_VERSIONS = compactStatement(
  'version_counts',
  ['devices', 'restarts', 'observed_seconds'],
  ['device_model', 'firmware_version'],
  [],
);

/**
 * Replaces counter entries by their sums. Entries added meanwhile are left for the next run; if two runs overlap, the
 * second finds nothing to sum. Reads only new entries and the sums that they affect, however long the history is.
 */
export async function compactCounters(sql: Sql): Promise<void> {
  await sql.query(COMPACT_UPDATES);
  await sql.query(COMPACT_OUTCOMES);
  await sql.query(COMPACT_VERSIONS);
}
