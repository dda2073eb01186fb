/**
 * True if the rollout `r` with its runtime row `p` is running. A rollout that was stopped, by SQL too, sends nothing.
 */
export const IS_RUNNING = 'NOT p.is_stopped AND r.is_active AND r.paused_at IS NULL';
