import { type RecordingPause, recordedUntil } from '../protocol/index.ts';

/** When a device `d` was heard: its newest status, or its newest report about an update. */
const HEARD_AT = 'greatest(d.last_seen, d.family_received_at)';

/**
 * True for a device `d` that is online, as `presenceOf` says, with the parameters of {@link onlineValues}. A device that
 * was heard since the pause of recording is measured by the clock, any other by the time in which it could be heard.
 */
export const IS_ONLINE = `(d.online AND coalesce(presumed_offline_at(${HEARD_AT}, d.report_interval_seconds)
           > CASE WHEN ${HEARD_AT} >= :paused_to::timestamptz THEN :online_at::timestamptz
             ELSE :recorded_until::timestamptz END, false))`;

export const onlineValues = ({ now, pause }: { readonly now: Date; readonly pause: RecordingPause | null }) => ({
  online_at: now,
  paused_to: pause?.to ?? null,
  recorded_until: recordedUntil(pause, now),
});
