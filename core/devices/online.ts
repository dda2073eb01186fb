import { type RecordingPause, recordedUntil } from '../policy/index.ts';

/**
 * True for a device `d` that is online, as `presenceOf` says, with the parameters of {@link onlineValues}. A device that
 * was heard since the pause of recording is measured by the clock, any other by the time in which it could be heard.
 */
export const IS_ONLINE = `(d.online AND coalesce(presumed_offline_at(d.last_seen, d.report_interval_seconds)
           > CASE WHEN d.last_seen >= :paused_to::timestamptz THEN :online_at::timestamptz
             ELSE :recorded_until::timestamptz END, false))`;

export const onlineValues = ({ now, pause }: { readonly now: Date; readonly pause: RecordingPause | null }) => ({
  online_at: now,
  paused_to: pause?.to ?? null,
  recorded_until: recordedUntil(pause, now),
});
