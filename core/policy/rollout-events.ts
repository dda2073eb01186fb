/**
 * The decisions about a rollout, as `ota_events.event_type` names them. Readers accept others, which a newer version may
 * have written before it was rolled back.
 */
export const ROLLOUT_EVENTS = [
  'rollout_created',
  'rollout_started',
  'rollout_stage_began',
  'rollout_stage_extended',
  'rollout_halted',
  'rollout_paused',
  'rollout_resumed',
  'rollout_advanced',
  'rollout_changed',
  'rollout_restarted',
  'rollout_stepping_stones_decided',
  'rollout_retried',
  'rollout_recovered',
  'rollout_aborted',
  'rollout_completed',
  'rollout_approval_requested',
  'rollout_approved',
  'rollout_rejected',
  'rollout_request_voided',
  'rollout_held',
  'rollout_hold_ended',
] as const;
export type RolloutEventName = (typeof ROLLOUT_EVENTS)[number];

/** The event that the service writes when it halts a rollout by itself. */
export const HALTED: RolloutEventName = 'rollout_halted';

/** `rollout_stage_began` becomes the detail type `RolloutStageBegan` on the event bus. */
export const detailType = (event: string): string =>
  event
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
