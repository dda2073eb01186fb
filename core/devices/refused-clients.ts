import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { RefusalReason, Refusals } from '../protocol/index.ts';

/** A disconnection of a client by its policy. */
export interface ClientRefusal {
  readonly clientId: string;
  readonly reason: RefusalReason;
  readonly at: Date;
}

const refusals = z.strictObject({ times: z.int(), first_at: z.date(), last_at: z.date() });

const refusedClient = z.strictObject({
  ...refusals.shape,
  client_id: z.string(),
  reason: z.string(),
  /** True if a device with this id has reported. */
  is_registered: z.boolean(),
});
export type RefusedClient = RowOf<typeof refusedClient>;

/** Clients that are stored; of more, those that were refused last. */
const MAX_CLIENTS = 1_000;
/** A longer time without a refusal ends a series. In idle mode one refusal an hour is recorded. */
const SERIES_HOURS = 2;

/**
 * Records refusals in one row per client, which counts those that follow each other. A second delivery of a batch
 * changes nothing; refusals that arrive after later ones do not count.
 */
export async function recordRefusals(sql: Sql, refusals: readonly ClientRefusal[]): Promise<void> {
  if (refusals.length === 0) return;
  await sql.query(
    `INSERT INTO refused_clients AS c (client_id, reason, times, first_at, last_at)
     SELECT client_id, (array_agg(reason ORDER BY at DESC))[1], count(*), min(at), max(at)
     FROM (SELECT DISTINCT ON ("clientId", at) "clientId" AS client_id, at, reason
           FROM jsonb_to_recordset(:refusals::jsonb) AS r("clientId" text, reason text, at timestamptz)) AS each
     GROUP BY client_id ORDER BY client_id
     ON CONFLICT (client_id) DO UPDATE SET reason = EXCLUDED.reason, last_at = EXCLUDED.last_at,
       times = EXCLUDED.times
         + CASE WHEN EXCLUDED.first_at < c.last_at + interval '${SERIES_HOURS} hours' THEN c.times ELSE 0 END,
       first_at = CASE WHEN EXCLUDED.first_at < c.last_at + interval '${SERIES_HOURS} hours' THEN c.first_at
         ELSE EXCLUDED.first_at END
     WHERE EXCLUDED.last_at > c.last_at`,
    { refusals },
  );
  await sql.query(
    `DELETE FROM refused_clients WHERE client_id IN (
       SELECT client_id FROM refused_clients ORDER BY last_at DESC, client_id OFFSET ${MAX_CLIENTS})`,
  );
}

/** Refusals of this number in a row are no accident. */
const MIN_REFUSALS = 3;
/** A device that is heard for this long after its last refusal works. */
const WORKS_AFTER_MINUTES = 10;
const LISTED = 20;

/**
 * The clients that were refused again and again in the last day, the newest first. A device that has been heard since,
 * or that was revoked, is left out.
 */
export async function listRefusedClients(sql: Sql, now: Date): Promise<RefusedClient[]> {
  return select(
    sql,
    refusedClient,
    `SELECT c.client_id, c.reason, c.times, c.first_at, c.last_at, d.device_id IS NOT NULL AS is_registered
     FROM refused_clients AS c LEFT JOIN devices AS d ON d.device_id = c.client_id
     WHERE c.times >= ${MIN_REFUSALS} AND c.last_at > :now::timestamptz - interval '1 day' AND d.revoked_at IS NULL
       AND (d.last_seen IS NULL OR d.last_seen < c.last_at + interval '${WORKS_AFTER_MINUTES} minutes')
     ORDER BY c.last_at DESC, c.client_id LIMIT ${LISTED}`,
    { now },
  );
}

/** The refusals of a client in the last day; undefined if there were none. */
export async function findRefusals(sql: Sql, clientId: string, now: Date): Promise<Refusals | undefined> {
  const [row] = await select(
    sql,
    refusals,
    `SELECT times, first_at, last_at FROM refused_clients
     WHERE client_id = :client AND last_at > :now::timestamptz - interval '1 day'`,
    { client: clientId, now },
  );
  return row;
}
