import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { Target } from '../policy/index.ts';
import { MATCHES_FILTER, targetValues } from '../targeting/index.ts';

const withoutAttribute = z.strictObject({ devices: z.int(), without: z.int(), similar: z.string().nullable() });

/**
 * How many of the devices that match a target have no such attribute and would not be limited; and, if none has it, an
 * attribute of one of them whose name differs from it only by case.
 */
export async function countWithoutAttribute(
  sql: Sql,
  model: string,
  target: Target,
  attribute: string,
): Promise<RowOf<typeof withoutAttribute>> {
  const [row] = await select(
    sql,
    withoutAttribute,
    `WITH counted AS (
       SELECT count(*)::integer AS devices, count(*) FILTER (WHERE NOT d.metadata ? :attribute::text)::integer AS without
       FROM devices AS d WHERE ${MATCHES_FILTER}
     )
     SELECT devices, without, CASE WHEN devices = without THEN (
         SELECT min(k.name) FROM devices AS d CROSS JOIN LATERAL jsonb_object_keys(d.metadata) AS k(name)
         WHERE ${MATCHES_FILTER} AND lower(k.name) = lower(:attribute::text)) END AS similar
     FROM counted`,
    { attribute, rollout: null, ...targetValues(model, target) },
  );
  return row ?? { devices: 0, without: 0, similar: null };
}
