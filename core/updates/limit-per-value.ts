import * as z from 'zod';
import { type RowOf, type Sql, select } from '../db/index.ts';
import type { DeviceId, RolloutId } from '../util/index.ts';

/** The limit `max_in_flight_per` of the rollout `:rollout`, as `per_value`; no row if it has none. */
const PER_VALUE = `per_value AS MATERIALIZED (
       SELECT r.max_in_flight_per ->> 'attribute' AS attribute, (r.max_in_flight_per ->> 'max')::integer AS max
       FROM rollout_configurations AS r WHERE r.id = :rollout AND r.max_in_flight_per IS NOT NULL
     )`;

/**
 * Common table expressions: `per_value` has the limit `max_in_flight_per` of the rollout `:rollout` and no row if it has
 * none; `busy` has the updates in flight, of every rollout, by the value that their devices have of its attribute.
 * @param isExclusive true if no other statement may count for the attribute before this one has ended
 */
export const inFlightByValue = (isExclusive: boolean): string => `${PER_VALUE}, busy AS MATERIALIZED (
       SELECT b.value, b.in_flight FROM per_value AS p CROSS JOIN LATERAL in_flight_by_value(p.attribute, ${isExclusive}) AS b
     )`;

const fullValue = z.strictObject({ attribute: z.string(), value: z.string(), in_flight: z.int(), max: z.int() });

/** A value of the attribute of `max_in_flight_per` whose devices have as many updates in flight as the rollout allows. */
export type FullValue = RowOf<typeof fullValue>;

/** @returns undefined if the rollout has no such limit, or there is room for the device */
export async function findFullValue(
  sql: Sql,
  rolloutId: RolloutId,
  deviceId: DeviceId,
): Promise<FullValue | undefined> {
  const [row] = await select(
    sql,
    fullValue,
    `WITH ${inFlightByValue(false)}
     SELECT p.attribute, b.value, b.in_flight, p.max FROM per_value AS p JOIN busy AS b ON b.in_flight >= p.max
     JOIN devices AS d ON d.device_id = :device AND d.metadata ->> p.attribute = b.value`,
    { rollout: rolloutId, device: deviceId },
  );
  return row;
}

/** Pending updates that are read to find those that wait. */
const MAX_READ = 10_000;

const fullValues = z.strictObject({
  attribute: z.string(),
  max: z.int(),
  /** The first of the values. */
  examples: z.array(z.string()),
  values: z.int(),
  devices: z.int(),
});

/**
 * The values without room that devices with a pending update of the rollout have, and the number of these devices. Of more than 10,000 pending updates it reads as many.
 * @returns undefined if none waits
 */
export async function findFullValues(sql: Sql, rolloutId: RolloutId): Promise<RowOf<typeof fullValues> | undefined> {
  const [row] = await select(
    sql,
    fullValues,
    `WITH ${inFlightByValue(false)}, waiting AS (
       SELECT b.value, count(*) AS devices
       FROM (SELECT u.device_id FROM device_update_status AS u
         WHERE u.rollout_id = :rollout AND u.status = 'pending' AND EXISTS (SELECT FROM busy) LIMIT ${MAX_READ}) AS u
       CROSS JOIN per_value AS p
       CROSS JOIN LATERAL (SELECT metadata ->> p.attribute AS value FROM devices WHERE device_id = u.device_id OFFSET 0) AS d
       JOIN busy AS b ON b.value = d.value AND b.in_flight >= p.max
       GROUP BY b.value
     )
     SELECT p.attribute, p.max, to_jsonb((array_agg(w.value ORDER BY w.value))[1:3]) AS examples, count(*)::integer AS values, sum(w.devices)::integer AS devices
     FROM per_value AS p CROSS JOIN waiting AS w GROUP BY p.attribute, p.max`,
    { rollout: rolloutId },
  );
  return row;
}
