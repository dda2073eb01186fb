import type { Sql } from '../db/index.ts';

/**
 * @param touched what says of an entry which rows it concerns, as far as an index finds them
 * @param more what else they are summed by
 */
const foldStatement = (table: string, counted: string, touched: readonly string[], more: readonly string[]) => {
  const group = [...touched, ...more].join(', ');
  return `WITH touched AS MATERIALIZED (
       SELECT DISTINCT ${touched.join(', ')} FROM ${table} WHERE NOT is_compacted
     ), entries AS (
       DELETE FROM ${table} AS l USING touched AS t WHERE ${touched.map((key) => `l.${key} = t.${key}`).join(' AND ')}
       RETURNING l.*
     )
     INSERT INTO ${table} (${group}, ${counted}, is_compacted)
     SELECT ${group}, sum(${counted}), true FROM entries GROUP BY ${group} HAVING sum(${counted}) <> 0`;
};

const FOLD_UPDATES = foldStatement(
  'update_counts',
  'updates',
  ['rollout_id'],
  ['stage', 'state', 'is_reclaimable', 'reason'],
);
const FOLD_OUTCOMES = foldStatement('outcome_counts', 'updates', ['rollout_id', 'ended_at'], ['is_success']);
const FOLD_VERSIONS = foldStatement('version_counts', 'devices', ['device_model', 'firmware_version'], []);

/**
 * Puts sums in the place of entries. Entries that are added meanwhile stay as they are; of two who do this at once the
 * second finds nothing left to sum. It reads what was added since and the sums that this concerns, however long the
 * history is.
 */
export async function compactCounters(sql: Sql): Promise<void> {
  await sql.query(FOLD_UPDATES);
  await sql.query(FOLD_OUTCOMES);
  await sql.query(FOLD_VERSIONS);
}
