import type { Sql } from '../db/index.ts';

/**
 * @param affected what says of an entry which rows it concerns, as far as an index finds them
 * @param other what else they are summed by
 */
const compactStatement = (table: string, counted: string, affected: readonly string[], other: readonly string[]) => {
  const group = [...affected, ...other].join(', ');
  return `WITH affected AS MATERIALIZED (
       SELECT DISTINCT ${affected.join(', ')} FROM ${table} WHERE NOT is_compacted
     ), entries AS (
       DELETE FROM ${table} AS l USING affected AS t WHERE ${affected.map((key) => `l.${key} = t.${key}`).join(' AND ')}
       RETURNING l.*
     )
     INSERT INTO ${table} (${group}, ${counted}, is_compacted)
     SELECT ${group}, sum(${counted}), true FROM entries GROUP BY ${group} HAVING sum(${counted}) <> 0`;
};

const COMPACT_UPDATES = compactStatement(
  'update_counts',
  'updates',
  ['rollout_id'],
  ['stage', 'state', 'is_reclaimable', 'reason'],
);
const COMPACT_OUTCOMES = compactStatement('outcome_counts', 'updates', ['rollout_id', 'ended_at'], ['is_success']);
const COMPACT_VERSIONS = compactStatement('version_counts', 'devices', ['device_model', 'firmware_version'], []);

/**
 * Puts sums in the place of entries. Entries that are added meanwhile stay as they are; of two who do this at once the
 * second finds nothing left to sum. It reads what was added since and the sums that this concerns, however long the
 * history is.
 */
export async function compactCounters(sql: Sql): Promise<void> {
  await sql.query(COMPACT_UPDATES);
  await sql.query(COMPACT_OUTCOMES);
  await sql.query(COMPACT_VERSIONS);
}
