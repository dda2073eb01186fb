import * as z from 'zod';
import { type Sql, select } from '../db/index.ts';
import { type EvidenceByValue, FEWEST_OF_VALUE, NO_EVIDENCE, type ReleaseEvidence } from '../policy/index.ts';
import { coveredValue } from './coverage.ts';
import { NUMBER_OF_UPDATE } from './rollout-evidence.ts';
import type { RolloutRuntime } from './rollout-runtime.ts';

/** Kinds of devices that failures are compared by in every rollout. */
const KINDS = ['version', 'facts.board_revision', 'facts.chip_revision'];

/** Updates that one statement reads: the newest. */
const SAMPLE_UPDATES = 20_000;
/** Values of which the outcomes are read: those with most failures. */
const MAX_VALUES = 50;

const valueRow = z.strictObject({
  /** Null: all devices. */
  name: z.string().nullable(),
  value: z.string(),
  counts: z.partialRecord(z.enum(Object.keys(NO_EVIDENCE) as (keyof ReleaseEvidence)[]), z.int()),
});

/**
 * The outcomes of one release of the rollout, since it began or was resumed, by the values of its devices: the version
 * before, the revisions of board and chip, and the names of `first_stage_covers`. It counts what the gates count. Values
 * with fewer than three failures are left out. Of more than 20,000 updates it reads the newest.
 * @param stage only the updates of this stage; null: of all
 */
export async function loadEvidenceByValue(
  sql: Sql,
  { id, generation, first_stage_covers: covers }: RolloutRuntime,
  version: string,
  stage: number | null,
): Promise<EvidenceByValue> {
  const names = [...new Set([...(covers ?? []), ...KINDS])];
  const rows = await select(
    sql,
    valueRow,
    `WITH sample AS (
       SELECT * FROM device_update_status WHERE rollout_id = :rollout ORDER BY id DESC LIMIT ${SAMPLE_UPDATES}
     ), counted AS MATERIALIZED (
       SELECT u.device_id, u.previous_version, number FROM sample AS u CROSS JOIN LATERAL (SELECT ${NUMBER_OF_UPDATE} AS number) AS n
       WHERE u.firmware_version = :version AND u.generation = :generation AND u.counts_as_started AND NOT u.failed_before
         AND NOT u.is_reclaimable AND NOT u.is_replaced AND (:stage::integer IS NULL OR u.stage = :stage::integer) AND number IS NOT NULL
     ), valued AS (
       -- Looks up each device by itself, because the planner cannot estimate how many there are.
       SELECT name, ${coveredValue('name', 'u.previous_version')} AS value, u.number FROM counted AS u
       CROSS JOIN LATERAL (SELECT metadata, facts FROM devices WHERE device_id = u.device_id OFFSET 0) AS d
       CROSS JOIN jsonb_array_elements_text(:names::jsonb) AS name
     ), grouped AS (
       SELECT name, value, number, count(*)::integer AS updates FROM valued GROUP BY name, value, number
     ), by_value AS (
       SELECT name, value, jsonb_object_agg(number, updates) AS counts FROM grouped GROUP BY name, value
       HAVING sum(updates) FILTER (WHERE number IN ('failed', 'silent')) >= ${FEWEST_OF_VALUE}
       ORDER BY sum(updates) FILTER (WHERE number IN ('failed', 'silent')) DESC, name, value LIMIT ${MAX_VALUES}
     )
     SELECT NULL::text AS name, '' AS value, coalesce(jsonb_object_agg(number, updates), '{}') AS counts
     FROM (SELECT number, count(*)::integer AS updates FROM counted GROUP BY number) AS of_all
     UNION ALL SELECT name, value, counts FROM by_value`,
    { rollout: id, generation, version, stage, names },
  );
  const evidenceOf = ({ counts }: (typeof rows)[number]): ReleaseEvidence => ({ ...NO_EVIDENCE, ...counts });
  const [all] = rows.filter(({ name }) => name === null);
  return {
    total: all === undefined ? NO_EVIDENCE : evidenceOf(all),
    values: rows
      // Equal numbers of failures are explained by the name that comes first.
      .toSorted((a, b) => names.indexOf(a.name ?? '') - names.indexOf(b.name ?? ''))
      .flatMap((row) => {
        const value = row.value === '' ? null : row.value.slice(1);
        return row.name === null ? [] : { name: row.name, value, evidence: evidenceOf(row) };
      }),
  };
}
