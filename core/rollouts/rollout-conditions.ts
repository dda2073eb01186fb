/** True if the row of the rollout `r` says that it may run. */
export const MAY_RUN = 'r.is_active AND r.paused_at IS NULL AND r.completed_at IS NULL AND r.aborted_at IS NULL';

/**
 * True if the rollout `r` with its runtime row `p` is running. A rollout that was stopped or ended, by SQL too, sends
 * nothing.
 */
export const IS_RUNNING = `NOT p.is_stopped AND ${MAY_RUN}`;

/** True if the rollout `r` waits for no other rollout, or that one has completed. */
export const HAS_PREDECESSOR_COMPLETED = `(r.after_rollout_id IS NULL OR EXISTS (SELECT FROM rollout_configurations AS a
         WHERE a.id = r.after_rollout_id AND a.completed_at IS NOT NULL))`;
