import { BARS, type Bar } from '../policy/index.ts';

/** The highest revisions that stand for no limit. */
const NO_MAXIMUM = `'0', '65535'`;

/** The limits of a release `f`, in the form of `imageLimits`. */
const LIMITS = `jsonb_strip_nulls(jsonb_build_object('slot_bytes', f.file_size,
       'min_chip_revision', f.image -> 'minChipRevision', 'flash_bytes', f.image -> 'flashBytes',
       'max_chip_revision', CASE WHEN f.image ->> 'maxChipRevision' NOT IN (${NO_MAXIMUM}) THEN f.image -> 'maxChipRevision' END))`;

/**
 * The limits of the images of the model `:model`, by the versions of their releases. It names no column of a device, so that
 * a statement reads the releases once.
 * @param which condition on the release `f`
 */
export const imagesOf = (which: string): string =>
  `(SELECT jsonb_object_agg(f.version, ${LIMITS}) FROM firmware_releases AS f WHERE f.device_model = :model AND ${which})`;

/** The limits of one of {@link imagesOf}. */
export const imageOf = (images: string, version: string): string => `(${images} -> (${version})::text)`;

const FACT_OF: Readonly<Record<Bar, string>> = {
  slot: 'slot_bytes',
  'old chip': 'chip_revision',
  'new chip': 'chip_revision',
  flash: 'flash_bytes',
};

/** What the device `d` states that the bar `rule` is about. Only of a barred device, so that it is a number. */
export const statedOfBar = (rule: string): string =>
  `CASE ${rule} ${BARS.map((bar) => `WHEN '${bar}' THEN (d.facts -> '${FACT_OF[bar]}')::double precision`).join(' ')} END`;

/**
 * The condition of each bar, true if the image may be sent to the device `d`. A fact that is not known, or that is no
 * number, bars nothing. Numbers compare as jsonb. A revision from 1 to 99 may be the major one alone, as ESP-IDF 4 states
 * it: it is compared with a limit of the same size only.
 * @param image the limits of the image
 */
export function barsOf(image: string): Readonly<Record<Bar, string>> {
  const stated = (bar: Bar) => `d.facts -> '${FACT_OF[bar]}'`;
  const barred = (bar: Bar, condition: string) =>
    `NOT coalesce(jsonb_typeof(${stated(bar)}) = 'number' AND ${condition}, false)`;
  const least = `${image} -> 'min_chip_revision'`;
  const revision = stated('old chip');
  return {
    slot: barred('slot', `${stated('slot')} < ${image} -> 'slot_bytes'`),
    'old chip': barred(
      'old chip',
      `${revision} < ${least} AND (${revision} >= '100' OR ${revision} = '0' OR ${least} < '100')`,
    ),
    'new chip': barred('new chip', `${stated('new chip')} > ${image} -> 'max_chip_revision'`),
    flash: barred('flash', `${stated('flash')} < ${image} -> 'flash_bytes'`),
  };
}
