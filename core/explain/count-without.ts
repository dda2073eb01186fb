import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { Target } from '../policy/index.ts';
import { MATCHES_FILTER, targetValues } from '../targeting/index.ts';

/** An attribute or a fact, by its name. */
export interface Property {
  readonly kind: 'attribute' | 'fact';
  readonly name: string;
}

const withoutProperty = z.strictObject({
  kind: z.enum(['attribute', 'fact']),
  name: z.string(),
  devices: z.int(),
  without: z.int(),
  similar: z.string().nullable(),
});

/**
 * How many of the devices that match a target have no such attribute or fact; and, if none has it, one of another device
 * whose name differs from it only by case.
 */
export function countWithout(
  sql: Sql,
  model: string,
  target: Target,
  properties: readonly Property[],
): Promise<RowOf<typeof withoutProperty>[]> {
  return select(
    sql,
    withoutProperty,
    `WITH counted AS (
       SELECT p.kind, p.name, count(*)::integer AS devices,
         count(*) FILTER (WHERE CASE p.kind WHEN 'fact' THEN d.facts ELSE d.metadata END -> p.name IS NULL)::integer AS without
       FROM devices AS d CROSS JOIN jsonb_to_recordset(:properties::jsonb) AS p(kind text, name text)
       WHERE ${MATCHES_FILTER} GROUP BY p.kind, p.name
     )
     SELECT kind, name, devices, without, CASE WHEN devices = without THEN (
         SELECT min(k.name) FROM devices AS d
         CROSS JOIN LATERAL jsonb_object_keys(CASE c.kind WHEN 'fact' THEN d.facts ELSE d.metadata END) AS k(name)
         WHERE ${MATCHES_FILTER} AND lower(k.name) = lower(c.name)) END AS similar
     FROM counted AS c ORDER BY kind, name`,
    { properties, rollout: null, ...targetValues(model, target) },
  );
}

/** How many devices match a target if its exceptions are left out. */
export async function countWithoutExceptions(
  sql: Sql,
  model: string,
  target: Target,
  rolloutId: number,
): Promise<number> {
  const [row] = await select(
    sql,
    z.strictObject({ devices: z.int() }),
    `SELECT count(*)::integer AS devices FROM devices AS d WHERE ${MATCHES_FILTER}`,
    { rollout: rolloutId, ...targetValues(model, { ...target, except: null }) },
  );
  return row?.devices ?? 0;
}
