/** What a hold can hold, the widest first. */
export const HOLD_SCOPES = ['service', 'group', 'device'] as const;
export type HoldScope = (typeof HOLD_SCOPES)[number];

/** Which holds are listed. `planned`: the start time has not come. `not_ended`: in force or planned. */
export const HOLD_FILTERS = ['not_ended', 'in_force', 'planned', 'ended'] as const;
export type HoldFilter = (typeof HOLD_FILTERS)[number];

/** A hold as people read it. Times are dates, or text as JSON has them. */
export interface HoldFacts {
  readonly hold_id: number;
  readonly scope: HoldScope;
  readonly device_id: string | null;
  readonly group_name: string | null;
  readonly reason: string;
  readonly created_at: Date | string;
  /** Null: SQL. */
  readonly created_by: string | null;
  readonly starts_at: Date | string | null;
  /** Null: it is planned. */
  readonly began_at: Date | string | null;
  readonly ends_at: Date | string | null;
}

/** Reason with which the orchestrator ends a hold. */
export const HOLD_TIME_OVER = 'its end time has passed';

/** Names what a hold holds: `the whole service`, `group lab` or the id of a device. */
export const describeHeld = ({
  scope,
  group_name,
  device_id,
}: Pick<HoldFacts, 'scope' | 'group_name' | 'device_id'>) =>
  scope === 'service' ? 'the whole service' : scope === 'group' ? `group ${group_name}` : `${device_id}`;

const iso = (at: Date | string) => new Date(at).toISOString();

function describeTerms({ reason, created_at: at, created_by: by, ends_at: until, ...times }: HoldFacts): string {
  const start = times.began_at === null && times.starts_at !== null ? ` from ${iso(times.starts_at)}` : '';
  const end = until === null ? '' : ` until ${iso(until)}`;
  return `${start}${end}: ${reason} (set by ${by ?? 'SQL'} at ${iso(at)})`;
}

/** One sentence about a hold, such as `the whole service is held until …: holiday freeze (set by … at …)`. */
export const describeHold = (hold: HoldFacts): string => `${describeHeld(hold)} is held${describeTerms(hold)}`;

/** More holds of one device are only counted. */
const MOST_NAMED = 3;

const andMore = (holds: readonly HoldFacts[]) =>
  holds.length > MOST_NAMED ? `, and ${holds.length - MOST_NAMED} more` : '';

/**
 * The same about a device, such as `is held with group lab: tests (set by … at …)`.
 * @param holds that hold it, at least one
 */
export const describeHeldDevice = (holds: readonly HoldFacts[]): string =>
  holds
    .slice(0, MOST_NAMED)
    .map((hold) => `is held${hold.scope === 'device' ? '' : ` with ${describeHeld(hold)}`}${describeTerms(hold)}`)
    .join(', and ') + andMore(holds);

/** When a held device is served again: at the end of the last of its holds. */
export const describeHoldEnd = (holds: readonly HoldFacts[]): string =>
  holds
    .slice(0, MOST_NAMED)
    .map(({ ends_at: until, hold_id: id }) =>
      until === null ? `when hold ${id} is removed` : `when hold ${id} ends, at ${iso(until)}, or is removed`,
    )
    .join(', and ') + andMore(holds);
