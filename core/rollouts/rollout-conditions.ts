/** Whether the rollout `r` with its pace row `p` runs: anybody may stop it, by SQL too, and then it sends nothing more. */
export const IS_RUNNING = 'NOT p.is_stopped AND r.is_active AND r.paused_at IS NULL';
