import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import { ROLLOUT_STATES } from '../policy/index.ts';
import { ID } from '../util/index.ts';

const sender = z.strictObject({
  rollout_id: ID.rollout,
  rollout_name: z.string(),
  firmware_version: z.string(),
  state: z.enum(ROLLOUT_STATES),
  devices: z.int(),
});

/** A rollout that sent a version to devices. A recovery sends those that run it back to the version before. */
export type Sender = RowOf<typeof sender>;

const SENDERS = 20;

/** The newest rollouts of a model that sent one of these versions to devices; recoveries are left out. */
export function listSenders(sql: Sql, model: string, versions: readonly string[]): Promise<Sender[]> {
  return select(
    sql,
    sender,
    `SELECT o.rollout_id, o.name AS rollout_name, o.firmware_version, o.state,
       o.in_progress + o.succeeded + o.failed AS devices
     FROM rollout_configurations AS r JOIN rollout_overview AS o ON o.rollout_id = r.id
     WHERE r.device_model = :model AND r.firmware_version IN (SELECT jsonb_array_elements_text(:versions::jsonb))
       AND r.target_filter -> 'recovers' IS NULL AND o.in_progress + o.succeeded + o.failed > 0
     ORDER BY r.id DESC LIMIT ${SENDERS}`,
    { model, versions },
  );
}
