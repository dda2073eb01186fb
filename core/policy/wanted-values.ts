/**
 * SQL that is true if a value of a device is the one of `wanted.value`, or one of its list. A value that the device has not
 * is neither.
 */
export const isWanted = (value: string) => `coalesce(wanted.value @> (${value}), false)`;

/** The same of the fact `wanted.key` of the device `d`, or that it is in the range. One that is not a number is in no range. */
export const IS_WANTED_FACT = `CASE WHEN jsonb_typeof(wanted.value) <> 'object' THEN ${isWanted('d.facts -> wanted.key')}
      ELSE coalesce(jsonb_typeof(d.facts -> wanted.key) = 'number'
        AND d.facts -> wanted.key >= coalesce(wanted.value -> 'min', d.facts -> wanted.key)
        AND d.facts -> wanted.key <= coalesce(wanted.value -> 'max', d.facts -> wanted.key), false) END`;
